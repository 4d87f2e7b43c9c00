/* page.c - the page at /, where a person tries what is served. It needs no key: it holds none, and asks for one when the API does. */
#include <string.h>

#include "page.h"
#include "server.h"

static bool mentions(struct request *q, const char *header, const char *what) {
    const char *value = request_header(q, header);
    return value && strstr(value, what);
}

static void get_page(struct request *q) {
    const bool gzip = mentions(q, "Accept-Encoding", "gzip");
    reply_header(q, "ETag", page.tag);
    reply_header(q, "Cache-Control", "no-cache"); /* asked for again each time, and answered 304 */
    reply_header(q, "Vary", "Accept-Encoding");
    reply_header(q, "Content-Security-Policy", page.policy);
    reply_header(q, "Content-Security-Policy", "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"); /* both policies hold */
    reply_header(q, "X-Content-Type-Options", "nosniff");
    reply_header(q, "Referrer-Policy", "no-referrer");
    if (mentions(q, "If-None-Match", page.tag)) {
        reply_static(q, 304, "text/html; charset=utf-8", "", 0);
        return;
    }
    if (gzip) reply_header(q, "Content-Encoding", "gzip");
    reply_static(q, 200, "text/html; charset=utf-8", gzip ? page.gzip : page.html, gzip ? page.gzip_size : page.html_size);
}

const struct route page_routes[] = {
    {"GET", "/", get_page, FAMILY_OPENAI, ROUTE_OPEN},
    {0},
};
