/* unicode_tables.h - generated tables; unicode.c and regex.c alone read them. */
#ifndef GLLM_TEXT_UNICODE_TABLES_H
#define GLLM_TEXT_UNICODE_TABLES_H
#include <stddef.h>
#include <stdint.h>

struct unicode_table { /* rows in ascending order of rows[i][0] */
    const uint32_t (*rows)[2];
    size_t count;
};
/* Ranges [first, last]. */
extern const struct unicode_table unicode_control, unicode_nonspacing, unicode_mark, unicode_punctuation, unicode_numeric, unicode_word, unicode_formless;
extern const struct unicode_table unicode_lower_young; /* code point, its lower case */
extern const struct unicode_table unicode_scripts;     /* first code point, script from there on */
struct unicode_young {
    uint32_t first, last;
    char category[3]; /* "Lo" */
};
extern const struct unicode_young unicode_young[];     /* what regular expressions match in HF, and Unicode 14 has not assigned */
extern const size_t unicode_young_count;
#endif
