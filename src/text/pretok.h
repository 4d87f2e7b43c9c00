/* pretok.h - what pretok.c reads and cutter.c runs; for those two alone. */
#ifndef GLLM_TEXT_PRETOK_H
#define GLLM_TEXT_PRETOK_H
#include "text/parts.h"
#include "text/regex.h"

enum behavior { BEHAVIOR_REMOVED, BEHAVIOR_ISOLATED, BEHAVIOR_MERGED_PREVIOUS, BEHAVIOR_MERGED_NEXT, BEHAVIOR_CONTIGUOUS }; /* of what a pattern matches */
enum cut_kind { CUT_BERT, CUT_WORDS, CUT_WHITESPACE, CUT_DIGITS, CUT_PUNCTUATION, CUT_DELIMITER, CUT_REGEX, CUT_STRING, CUT_SCRIPTS, CUT_FIXED, CUT_BYTE_LEVEL, CUT_METASPACE };
enum prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };
struct cutter {
    enum cut_kind kind;
    enum behavior behavior;
    enum prepend prepend;              /* CUT_METASPACE, with the mark that stands for a space */
    bool invert, prefix_space, split;
    char mark[4];
    unsigned mark_len;
    uint32_t delimiter, length;
    const char *text;                  /* CUT_STRING */
    size_t text_len;
    struct regex *regex;               /* owned; CUT_REGEX, and CUT_BYTE_LEVEL unless use_regex is false */
};
struct pretok {
    struct cutter *cutters; /* each cuts what the one before it made */
    size_t count;
};
#endif
