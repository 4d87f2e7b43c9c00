/* json_number.c - numbers between two bounds, digit by digit.
 *
 * A magnitude is its whole part's digits, then those after the point. Written from the left, a prefix is `low` while it equals the lower
 * bound's, `high` while it equals the upper one's, and free otherwise; what may follow depends on these alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "text/json_parts.h"

enum { DOUBLE_DIGITS = 15 };
struct decimal { /* a magnitude; digits are values 0 to 9, fraction without zeros at its end */
    uint8_t whole[JSON_DIGITS], fraction[32];
    uint32_t n_whole, n_fraction;
    bool open; /* the bound itself does not count */
    bool cut;  /* the bound is a bit larger than its digits here: numbers are above or below both, and none is equal to it */
};
struct span {
    struct rules *rules;
    struct decimal low, high;
    uint32_t n, n_more; /* digits before the point, and at most after it: together what a double tells apart */
};

static struct expr *digit(struct rules *r, unsigned from, unsigned to) { return expr_chars(r, &(struct char_range){'0' + from, '0' + to}, 1, false); }
static struct expr *any_digits(struct rules *r, uint32_t min, uint32_t max) { return expr_repeat(r, digit(r, 0, 9), min, max); }

/* digit(s) from..to, then `rest`; NULL when the rest is. */
static void branch(struct rules *r, struct expr *alt, unsigned from, unsigned to, struct expr *rest) {
    if (from <= to && rest) expr_add(r, alt, json_pair(r, digit(r, from, to), rest));
}

/* After k digits behind the point. */
static struct expr *fraction(struct span *s, uint32_t k, bool low, bool high) {
    struct rules *r = s->rules;
    if (low && k >= s->low.n_fraction && !s->low.open) low = false; /* zeros would do: anything does */
    if (!low && !high) return any_digits(r, k ? 0 : 1, s->n_more - k);
    struct expr *alt = expr_alt(r);
    if (k && !low && (k < s->high.n_fraction || !s->high.open)) expr_add(r, alt, expr_seq(r));
    if (k < s->n_more) {
        const unsigned a = low && k < s->low.n_fraction ? s->low.fraction[k] : 0, b = !high ? 9 : k < s->high.n_fraction ? s->high.fraction[k] : 0;
        const bool both = low && high && a == b;
        if (both) branch(r, alt, a, a, fraction(s, k + 1, true, true));
        if (low && !both && a <= b) branch(r, alt, a, a, fraction(s, k + 1, true, false));
        if (!both && a + low + high <= b) branch(r, alt, a + low, b - high, fraction(s, k + 1, false, false));
        if (high && !both && a <= b) branch(r, alt, b, b, fraction(s, k + 1, false, true));
    }
    return alt && alt->n ? alt : NULL;
}

/* The whole part is written: the end, or a point and digits. */
static struct expr *after_whole(struct span *s, bool low, bool high) {
    struct rules *r = s->rules;
    struct expr *alt = expr_alt(r);
    const bool above = !low || (!s->low.n_fraction && !s->low.open), below = !high || s->high.n_fraction || !s->high.open;
    if (above && below) expr_add(r, alt, expr_seq(r));
    struct expr *more = s->n_more ? fraction(s, 0, low, high) : NULL;
    if (more) expr_add(r, alt, json_pair(r, expr_text(r, ".", 1), more));
    return alt && alt->n ? alt : NULL;
}

/* After k of the n digits of the whole part. */
static struct expr *whole(struct span *s, uint32_t k, bool low, bool high) {
    struct rules *r = s->rules;
    if (k == s->n) return after_whole(s, low, high);
    if (!low && !high && k) {
        struct expr *rest = after_whole(s, false, false);
        return json_pair(r, any_digits(r, s->n - k, s->n - k), rest);
    }
    struct expr *alt = expr_alt(r);
    const unsigned a = low ? s->low.whole[k] : !k && s->n > 1, b = high ? s->high.whole[k] : 9;
    const bool both = low && high && a == b;
    if (both) branch(r, alt, a, a, whole(s, k + 1, true, true));
    if (low && !both && a <= b) branch(r, alt, a, a, whole(s, k + 1, true, false));
    if (!both && a + low + high <= b) branch(r, alt, a + low, b - high, whole(s, k + 1, false, false));
    if (high && !both && a <= b) branch(r, alt, b, b, whole(s, k + 1, false, true));
    return alt && alt->n ? alt : NULL;
}

/* The shortest decimal that reads back as v >= 0, cut off where no number of JSON_DIGITS digits reaches. */
static struct decimal decimal_of(double v, bool open) {
    struct decimal d = {.open = open};
    char buf[32];
    if (v >= 1e18) { /* above all that is written */
        memset(d.whole, 9, sizeof d.whole);
        d.n_whole = JSON_DIGITS;
        memset(d.fraction, 9, JSON_DIGITS);
        d.n_fraction = JSON_DIGITS;
        d.open = false;
        return d;
    }
    number_digits(v, buf);
    const char *e = strchr(buf, 'e');
    int exponent = e ? atoi(e + 1) : 0, place = exponent;
    for (; place < 0 && d.n_fraction < (uint32_t)(-exponent - 1) && d.n_fraction < 31;) d.fraction[d.n_fraction++] = 0;
    if (exponent < 0) d.whole[d.n_whole++] = 0;
    for (const char *p = buf; p < e; p++) {
        if (*p < '0' || *p > '9') continue;
        if (place >= 0 && d.n_whole < JSON_DIGITS) d.whole[d.n_whole++] = (uint8_t)(*p - '0');
        else if (place < 0 && d.n_fraction < 31) d.fraction[d.n_fraction++] = (uint8_t)(*p - '0');
        else d.cut |= *p != '0';
        place--;
    }
    for (; place >= 0 && d.n_whole < JSON_DIGITS; place--) d.whole[d.n_whole++] = 0;
    while (d.n_fraction && !d.fraction[d.n_fraction - 1]) d.n_fraction--;
    return d;
}

/* Magnitudes from low to high. */
static struct expr *magnitudes(struct rules *r, double low, bool over, double high, bool under, bool whole_only) {
    if (low >= 1e18) return NULL;
    struct span s = {.rules = r, .low = decimal_of(low, over), .high = decimal_of(high, under)};
    struct expr *alt = expr_alt(r);
    s.low.open |= s.low.cut;
    s.high.open &= !s.high.cut;
    for (s.n = s.low.n_whole; low <= high && s.n <= s.high.n_whole; s.n++) {
        s.n_more = whole_only || s.n >= DOUBLE_DIGITS ? 0 : DOUBLE_DIGITS - s.n;
        struct expr *one = whole(&s, 0, s.n == s.low.n_whole, s.n == s.high.n_whole);
        if (one) expr_add(r, alt, one);
    }
    return alt && alt->n ? alt : NULL;
}

struct expr *json_between(struct rules *r, const struct json_bounds *given) {
    struct json_bounds b = *given;
    if (b.whole) { /* bounds that whole numbers reach */
        b.min = b.over && b.min == floor(b.min) ? b.min + 1 : ceil(b.min);
        b.max = b.under && b.max == floor(b.max) ? b.max - 1 : floor(b.max);
        b.over = b.under = false;
    }
    struct expr *alt = expr_alt(r), *one = NULL;
    if (b.max > 0 || (b.max == 0 && !b.under)) one = b.min > 0 ? magnitudes(r, b.min, b.over, b.max, b.under, b.whole) : magnitudes(r, 0, b.min == 0 && b.over, b.max, b.under, b.whole);
    if (one) expr_add(r, alt, one);
    one = NULL;
    if (b.min < 0) one = b.max < 0 ? magnitudes(r, -b.max, b.under, -b.min, b.over, b.whole) : magnitudes(r, b.whole ? 1 : 0, !b.whole, -b.min, b.over, b.whole);
    if (one) expr_add(r, alt, json_pair(r, expr_text(r, "-", 1), one));
    return alt && alt->n ? alt : NULL;
}
