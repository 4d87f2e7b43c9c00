/* page.h - how the demo looks: a page of text with bars and colours on a terminal, plain text elsewhere. */
#ifndef PAGE_H
#define PAGE_H
#include <stdbool.h>
#include <stddef.h>

enum page_style { STYLE_PLAIN, STYLE_BOLD, STYLE_QUESTION, STYLE_ANSWER, STYLE_GOOD, STYLE_BAD, STYLE_FAINT };

struct page {
    int width;      /* columns that text may fill */
    bool colour;    /* a terminal that shows colours, and no NO_COLOR */
    int indent, at; /* of the paragraph being written: its left edge, the column reached (0: at the edge) */
    char word[64];  /* the word that has begun; it goes out when it ends, so that it can go to the next line */
    size_t word_len;
};

void page_open(struct page *p);
/* The escape sequence that starts a style; "" without colours. Static. */
const char *page_style(const struct page *p, enum page_style style);
/* A paragraph arrives in pieces of any size, cut anywhere; spaces and newlines part its words. page_end writes the last word and a newline. */
void page_begin(struct page *p, int indent);
void page_write(struct page *p, const char *text, size_t len);
void page_end(struct page *p);
/* page_begin, page_write and page_end */
void page_paragraph(struct page *p, int indent, const char *text);
/* A bar of 20 cells for 0..1, and the number. */
void page_bar(const struct page *p, double share, enum page_style style);
#endif
