/* gbnf.h - grammars in llama.cpp's GBNF notation.
 *
 *   name ::= alternatives         names of letters, digits, - and _; "root" is where a text begins
 *   "text" [a-z] [^a-z] .         escapes \n \r \t \\ \" \[ \] \xXX \uXXXX \UXXXXXXXX, each one character; . is any character
 *   name  ( … )  a b  a | b       a newline ends a rule, but not inside ( ) and not after | or ::=
 *   * + ? {m} {m,} {m,n}          bind to the item before them: a text counts as one item
 *   # comment                     to the end of the line
 * Differences from llama.cpp: a rule that is defined twice, a class without a character and an escape of what is no character are refused;
 * grammars over token ids (<[12]>, <token>) are refused. */
#ifndef GLLM_TEXT_GBNF_H
#define GLLM_TEXT_GBNF_H
#include "text/grammar.h"

enum { GBNF_MAX_BYTES = 1 << 20 };
/* GLLM_INVALID gives line:column (from 1, in characters) and what was expected, or what grammar_compile found. */
gllm_status gbnf_read(struct grammar **out, const char *text, size_t len, gllm_error *err);
#endif
