#include "base/number.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct plain { /* this thread in the "C" locale */
    locale_t plain, before;
};

static struct plain plain_enter(void) {
    struct plain p = {.plain = newlocale(LC_ALL_MASK, "C", (locale_t)0)}; /* a constant of the C library, never absent */
    p.before = uselocale(p.plain);
    return p;
}
static void plain_leave(struct plain p) {
    uselocale(p.before);
    freelocale(p.plain);
}

int number_print(char *out, size_t size, const char *format, ...) {
    const struct plain p = plain_enter();
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(out, size, format, args);
    va_end(args);
    plain_leave(p);
    return n;
}

double number_parse(const char *text, char **end) {
    const struct plain p = plain_enter();
    const double v = strtod(text, end);
    plain_leave(p);
    return v;
}

int number_digits(double v, char out[32]) {
    const struct plain p = plain_enter();
    int digits = 1;
    for (; digits <= 17; digits++) {
        snprintf(out, 32, "%.*e", digits - 1, v);
        if (digits == 17 || strtod(out, NULL) == v) break;
    }
    plain_leave(p);
    return digits;
}
