/* unicode_tables.h - generated tables; unicode.c alone reads them. */
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
#endif
