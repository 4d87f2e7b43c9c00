/* jinja_time.c - strftime in English, whatever the process's locale. */
#include <stdio.h>

#include "text/jinja_impl.h"

static const char *const DAYS[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const MONTHS[] = {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"};

static const char *name_of(const char *const *names, unsigned count, int i) { return i >= 0 && (unsigned)i < count ? names[i] : "?"; }

/* The ISO year and week of a day. */
static int iso_week(const struct tm *t, int *year) {
    const int weekday = (t->tm_wday + 6) % 7;
    int week = (t->tm_yday - weekday + 10) / 7;
    *year = t->tm_year + 1900;
    const int before = *year - 1, leap = (before % 4 == 0 && before % 100) || before % 400 == 0, this_leap = (*year % 4 == 0 && *year % 100) || *year % 400 == 0;
    if (week < 1) { /* the last week of the year before */
        --*year;
        return (t->tm_yday + 365 + leap - weekday + 10) / 7;
    }
    if (week == 53 && t->tm_yday - weekday + 3 >= 365 + this_leap) {
        ++*year;
        week = 1;
    }
    return week;
}

struct number {
    int value, width;
    char fill;
};
/* What a directive shows when it is a number. */
static bool number_of(char directive, const struct tm *t, struct number *n) {
    int iso_year;
    const int week = iso_week(t, &iso_year), hour12 = t->tm_hour % 12 ? t->tm_hour % 12 : 12;
    const struct {
        char directive;
        struct number n;
    } ALL[] = {{'d', {t->tm_mday, 2, '0'}}, {'e', {t->tm_mday, 2, ' '}}, {'H', {t->tm_hour, 2, '0'}}, {'k', {t->tm_hour, 2, ' '}}, {'I', {hour12, 2, '0'}}, {'l', {hour12, 2, ' '}},
               {'j', {t->tm_yday + 1, 3, '0'}}, {'m', {t->tm_mon + 1, 2, '0'}}, {'M', {t->tm_min, 2, '0'}}, {'S', {t->tm_sec, 2, '0'}}, {'f', {0, 6, '0'}}, {'y', {(t->tm_year + 1900) % 100, 2, '0'}},
               {'Y', {t->tm_year + 1900, 1, '0'}}, {'C', {(t->tm_year + 1900) / 100, 2, '0'}}, {'G', {iso_year, 1, '0'}}, {'g', {iso_year % 100, 2, '0'}}, {'V', {week, 2, '0'}},
               {'u', {t->tm_wday ? t->tm_wday : 7, 1, '0'}}, {'w', {t->tm_wday, 1, '0'}}, {'U', {(t->tm_yday + 7 - t->tm_wday) / 7, 2, '0'}}, {'W', {(t->tm_yday + 7 - (t->tm_wday + 6) % 7) / 7, 2, '0'}}};
    for (unsigned i = 0; i < sizeof ALL / sizeof *ALL; i++)
        if (ALL[i].directive == directive) {
            *n = ALL[i].n;
            return true;
        }
    return false;
}

/* What a directive stands for: other directives. */
static const char *expansion(char directive) {
    switch (directive) {
    case 'c': return "%a %b %e %H:%M:%S %Y";
    case 'D':
    case 'x': return "%m/%d/%y";
    case 'F': return "%Y-%m-%d";
    case 'r': return "%I:%M:%S %p";
    case 'R': return "%H:%M";
    case 'T':
    case 'X': return "%H:%M:%S";
    case 'n': return "\n";
    case 't': return "\t";
    case 'z':
    case 'Z': return ""; /* a naive time has no zone */
    default: return NULL;
    }
}

static gllm_status put(struct jinja_run *r, const char *s, size_t len, bool caller, struct jinja_out *o) { return jinja_out_put(r, o, s, len, caller); }

static gllm_status directive(struct jinja_run *r, char c, char flag, bool caller, struct jinja_out *o) {
    const struct tm *t = r->now;
    struct number n;
    char text[32];
    if (number_of(c, t, &n)) {
        if (flag == '_') n.fill = ' ';
        if (flag == '0') n.fill = '0';
        const int length = snprintf(text, sizeof text, "%d", n.value);
        for (int i = length; flag != '-' && i < n.width; i++) TRY(put(r, &n.fill, 1, caller, o));
        return put(r, text, (size_t)length, caller, o);
    }
    const char *name = c == 'a' || c == 'A' ? name_of(DAYS, 7, t->tm_wday) : c == 'b' || c == 'B' || c == 'h' ? name_of(MONTHS, 12, t->tm_mon) : c == 'p' ? (t->tm_hour < 12 ? "AM" : "PM") : c == 'P' ? (t->tm_hour < 12 ? "am" : "pm") : NULL;
    if (!name) return jinja_fail(r, "strftime_now: found %%%c, expected a directive of strftime", c);
    const bool shortened = c == 'a' || c == 'b' || c == 'h';
    return put(r, name, shortened && strlen(name) > 3 ? 3 : strlen(name), caller, o);
}

gllm_status jinja_strftime(struct jinja_run *r, struct jinja_str format, struct jinja_out *o) {
    for (size_t i = 0; i < format.len; i++) {
        const bool caller = format.from && format.from[i];
        if (format.p[i] != '%' || i + 1 == format.len) {
            TRY(put(r, format.p + i, 1, caller, o));
            continue;
        }
        char flag = format.p[++i];
        if ((flag == '-' || flag == '_' || flag == '0') && i + 1 < format.len) i++;
        else flag = '\0';
        const char c = format.p[i], *more = expansion(c);
        if (c == '%') TRY(put(r, "%", 1, caller, o));
        else if (!more) TRY(directive(r, c, flag, caller, o));
        else {
            for (const char *s = more; *s; s++) {
                if (*s == '%') TRY(directive(r, *++s, '\0', caller, o));
                else TRY(put(r, s, 1, caller, o));
            }
        }
        TRY(jinja_charge(r, 1));
    }
    return GLLM_OK;
}
