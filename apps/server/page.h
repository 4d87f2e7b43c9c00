/* page.h - the page at /, as the build makes it of page/index.html (cmake/page.cmake). */
#ifndef GLLM_SERVER_PAGE_H
#define GLLM_SERVER_PAGE_H
#include <stddef.h>

struct page {
    const unsigned char *html;
    size_t html_size;
    const unsigned char *gzip; /* the same, compressed */
    size_t gzip_size;
    const char *tag;           /* ETag, with its quotes: changes with the contents */
    const char *policy;        /* Content-Security-Policy: its own script and style by their hashes, requests to its own server, nothing else */
};
extern const struct page page;
#endif
