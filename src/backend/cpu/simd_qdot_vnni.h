/* simd_qdot_vnni.h - qtile_body and k_quantise of simd_qtile.h with the dot products of AVX-512 VNNI: four bytes of weights by four of activations to a
 * 32-bit lane, exact. */

/* Rows as tiles of CPU_MAX_MR: see struct cpu_qact. Values are rounded to nearest, ties to even, with the half's largest at 127; it is found
 * by the bits of |x|, where NaN is above all. */
static void k_quantise(const float *x, uint32_t k, unsigned row, struct cpu_qact *out) {
    for (uint32_t b = 0; b < k / QBLOCK; b++, x += QBLOCK, out++) {
        float sums = 0;
        for (unsigned h = 0; h < 2; h++) {
            const __m512 v = _mm512_loadu_ps(x + 16 * h);
            const int most = _mm512_reduce_max_epi32(_mm512_castps_si512(_mm512_abs_ps(v)));
            const float top = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(most))), inverse = inverse_of(top), d = top / 127.0f;
            if (!(top <= FLT_MAX)) {
                spoil_half(out, h, row);
                sums = NAN;
                continue;
            }
            const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(v, _mm512_set1_ps(inverse)));
            const int sum = _mm512_reduce_add_epi32(q);
            _mm_storeu_si128((__m128i *)(void *)(out->q[row] + 16 * h), _mm512_cvtsepi32_epi8(q));
            out->minus_sum[h][row] = -sum;
            out->d[h][row] = d;
            sums += d * (float)sum;
        }
        out->d_sum[row] = sums;
    }
}

INLINE __m512i group_of(const uint8_t *p, const unsigned bits, const unsigned g) {
    if (bits == 8) return _mm512_loadu_si512(p + 64 * g);
    __m512i w = _mm512_loadu_si512(p + 64 * (g % 4));
    w = _mm512_and_si512(g < 4 ? w : _mm512_srli_epi16(w, 4), _mm512_set1_epi8(15));
    if (bits == 5) {
        __m512i h = _mm512_loadu_si512(p + 256);
        h = g < 4 ? _mm512_slli_epi16(h, 4 - g % 4) : _mm512_srli_epi16(h, g % 4);
        w = _mm512_or_si512(w, _mm512_and_si512(h, _mm512_set1_epi8(16)));
    }
    if (bits == 6) {
        __m512i h = _mm512_loadu_si512(p + 256 + 64 * (g / 4));
        h = g % 4 == 0 ? _mm512_slli_epi16(h, 4) : g % 4 == 1 ? _mm512_slli_epi16(h, 2) : g % 4 == 2 ? h : _mm512_srli_epi16(h, 2);
        w = _mm512_or_si512(w, _mm512_and_si512(h, _mm512_set1_epi8(48)));
    }
    return w;
}

INLINE __m512 scale_of(const uint8_t *p, const bool f16) { return f16 ? _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)) : _mm512_loadu_ps(p); }
INLINE __m512i four_of(const int8_t *p) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}

/* Everything but t is a constant where this is inlined. */
INLINE void qtile_body(const struct cpu_qtile *t, const unsigned mr, const unsigned bits, const unsigned zero_log2, const bool f16, const bool halves, const enum qpack_low low) {
    const size_t plane = 64 * bits, scale_bytes = QPANEL * (f16 ? 2 : 4), block = plane + scale_bytes * (1 + halves + (low != QPACK_NO_LOW));
    const unsigned chains = mr <= 4 ? 2 : 1; /* few rows: two chains hide the latency */
    const struct cpu_qact *a = t->a;
    const uint8_t *w = t->w;
    __m512 y[CPU_MAX_MR];
    UNROLL(12)
    for (unsigned m = 0; m < mr; m++) y[m] = _mm512_setzero_ps();
    for (uint32_t b = 0; b < t->n_blocks; b++, a++, w += block) {
        UNROLL(2)
        for (unsigned h = 0; h < 2; h++) {
            __m512i acc[CPU_MAX_MR][2];
            UNROLL(12)
            for (unsigned m = 0; m < mr; m++) {
                acc[m][0] = zero_log2 ? _mm512_slli_epi32(_mm512_set1_epi32(a->minus_sum[h][m]), zero_log2) : _mm512_setzero_si512();
                acc[m][1] = _mm512_setzero_si512();
            }
            UNROLL(4)
            for (unsigned i = 0; i < 4; i++) {
                const unsigned g = 4 * h + i;
                const __m512i q = group_of(w, bits, g);
                UNROLL(12)
                for (unsigned m = 0; m < mr; m++) acc[m][i % chains] = _mm512_dpbusd_epi32(acc[m][i % chains], q, four_of(a->q[m] + 4 * g));
            }
            const __m512 scale = scale_of(w + plane + (halves ? h : 0) * scale_bytes, f16);
            UNROLL(12)
            for (unsigned m = 0; m < mr; m++) {
                const __m512i sum = chains == 2 ? _mm512_add_epi32(acc[m][0], acc[m][1]) : acc[m][0];
                y[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(a->d[h][m])), y[m]);
            }
        }
        if (!low) continue;
        __m512 least = scale_of(w + plane + scale_bytes, f16);
        if (low == QPACK_ZERO) least = _mm512_fnmadd_ps(least, scale_of(w + plane, f16), _mm512_setzero_ps());
        UNROLL(12)
        for (unsigned m = 0; m < mr; m++) y[m] = _mm512_fmadd_ps(least, _mm512_set1_ps(a->d_sum[m]), y[m]);
    }
    float out[CPU_MAX_MR][QPANEL];
    UNROLL(12)
    for (unsigned m = 0; m < mr; m++) _mm512_storeu_ps(out[m], y[m]);
    for (unsigned m = 0; m < mr; m++) emit_panel(&t->epilogue, m, out[m]);
}
