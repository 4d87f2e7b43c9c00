#include "model/rope.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

static double power(double theta, uint32_t i, uint32_t n_rot) { return pow(theta, -2.0 * i / n_rot); }

static double llama3(const struct rope_cfg *r, double f) {
    const double wavelength = 2 * PI / f, n0 = r->n_pos_trained, low = n0 / r->low_freq_factor, high = n0 / r->high_freq_factor;
    if (wavelength > low) return f / r->factor;
    if (wavelength < high) return f;
    const double smooth = (n0 / wavelength - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (1 - smooth) * f / r->factor + smooth * f;
}

/* The dimension whose wavelength fits `turns` times into the trained context. */
static double yarn_dimension(const struct rope_cfg *r, double turns, uint32_t n_rot, double n0) { return n_rot * log(n0 / (turns * 2 * PI)) / (2 * log(r->theta)); }

static double magnitude(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1; }

struct ramp { /* share of the interpolated frequency: 0 below low, 1 above high */
    double low, high, factor;
};

static struct ramp yarn(const struct rope_cfg *r, uint32_t n_rot, uint32_t n_pos, double *scale) {
    const double n0 = r->n_pos_trained ? r->n_pos_trained : n_pos;
    struct ramp p = {.factor = r->factor > 0 ? r->factor : n_pos / n0};
    p.low = yarn_dimension(r, r->beta_fast > 0 ? r->beta_fast : 32, n_rot, n0);
    p.high = yarn_dimension(r, r->beta_slow > 0 ? r->beta_slow : 1, n_rot, n0);
    if (!r->no_truncate) p.low = floor(p.low), p.high = ceil(p.high);
    p.low = fmax(p.low, 0);
    p.high = fmin(p.high, n_rot - 1);
    if (p.low == p.high) p.high += 0.001;
    if (r->attention_factor > 0) *scale = r->attention_factor;
    else if (r->mscale > 0 && r->mscale_all_dim > 0) *scale = magnitude(p.factor, r->mscale) / magnitude(p.factor, r->mscale_all_dim);
    else *scale = magnitude(p.factor, 1);
    return p;
}

static const float *longrope(const struct rope_cfg *r, uint32_t n_pos, uint32_t n_ctx, double *scale) {
    const double n0 = r->n_pos_trained ? r->n_pos_trained : n_pos, factor = r->n_pos_trained ? n_pos / n0 : r->factor;
    *scale = r->attention_factor > 0 ? r->attention_factor : factor <= 1 ? 1 : sqrt(1 + log(factor) / log(n0));
    return n_ctx > n0 ? r->long_factor : r->short_factor;
}

void rope_frequencies(const struct rope_cfg *r, uint32_t n_rot, uint32_t n_pos, uint32_t n_ctx, float *freq, float *scale) {
    double theta = r->theta, m = 1;
    struct ramp ramp = {0};
    const float *divide = r->kind == ROPE_LLAMA3 ? r->short_factor : NULL;
    if (r->kind == ROPE_DYNAMIC && n_ctx > n_pos) theta *= pow(r->factor * n_ctx / n_pos - (r->factor - 1), (double)n_rot / (n_rot - 2.0));
    if (r->kind == ROPE_NTK) theta *= r->factor;
    if (r->kind == ROPE_YARN) ramp = yarn(r, n_rot, n_pos, &m);
    if (r->kind == ROPE_LONGROPE) divide = longrope(r, n_pos, n_ctx, &m);
    for (uint32_t i = 0; i < n_rot / 2; i++) {
        double f = power(theta, i, n_rot);
        if (r->kind == ROPE_LINEAR) f /= r->factor;
        else if (r->kind == ROPE_NTK) f /= pow(r->factor, 2.0 / n_rot);
        else if (divide) f /= divide[i];
        else if (r->kind == ROPE_LLAMA3) f = llama3(r, f);
        else if (r->kind == ROPE_YARN) {
            const double share = fmin(fmax((i - ramp.low) / (ramp.high - ramp.low), 0), 1);
            f = f / ramp.factor * share + f * (1 - share);
        }
        freq[i] = (float)f;
    }
    *scale = (float)m;
}

bool rope_used(const struct model_cfg *c, int k) {
    for (uint32_t i = 0; i < c->n_layer; i++)
        if (c->layers[i].rope == k) return true;
    return false;
}
