#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Copies `text` to err->message, printable: one line, valid UTF-8, cut at a character. */
static void message_store(gllm_error *err, const char *text) {
    size_t n = strlen(text), out = 0;
    const size_t room = sizeof err->message - 1;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        unsigned len = utf8_read(text + i, n - i, &cp);
        char piece[8];
        unsigned plen;
        if (len == 0 || cp < 0x20 || cp == 0x7f) {
            plen = (unsigned)snprintf(piece, sizeof piece, "\\x%02x", (unsigned char)text[i]);
            len = len ? len : 1;
        } else {
            memcpy(piece, text + i, len);
            plen = len;
        }
        if (out + plen > room) break;
        memcpy(err->message + out, piece, plen);
        out += plen;
        i += len;
    }
    err->message[out] = '\0';
}

gllm_status err_setv(gllm_error *err, gllm_status status, const char *format, va_list args) {
    if (err) {
        char text[1024];
        vsnprintf(text, sizeof text, format, args);
        err->status = status;
        message_store(err, text);
    }
    return status;
}

gllm_status err_set(gllm_error *err, gllm_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    err_setv(err, status, format, args);
    va_end(args);
    return status;
}

gllm_status err_wrap(gllm_error *err, gllm_status status, const char *format, ...) {
    if (!err) return status;
    char prefix[512], text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", prefix, err->message);
    err->status = status;
    message_store(err, text);
    return status;
}

gllm_status err_nomem(gllm_error *err, const char *what) { return err_set(err, GLLM_NOMEM, "out of memory: %s", what); }

const char *gllm_status_name(gllm_status s) {
    switch (s) {
#define X(name, value, text) \
    case GLLM_##name: return "GLLM_" #name;
        GLLM_STATUS_MAP(X)
#undef X
    default: return "GLLM_UNKNOWN";
    }
}

const char *gllm_status_text(gllm_status s) {
    switch (s) {
#define X(name, value, text) \
    case GLLM_##name: return text;
        GLLM_STATUS_MAP(X)
#undef X
    default: return "unknown status";
    }
}
