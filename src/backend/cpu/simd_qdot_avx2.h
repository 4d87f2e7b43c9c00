/* simd_qdot_avx2.h - qtile_body and k_quantise of simd_qtile.h for levels without a dot product of bytes.
 *
 * vpmaddubsw multiplies unsigned weights by signed activations and adds two neighbours in 16 bits. Weights of 4 and 5 bits leave room there for half a
 * block (4 groups x 2 x 31 x 127 < 2^15), of 6 bits for two groups; weights of 8 bits are taken as two nibbles. Only then are the sums widened
 * to 32 bits, so that integer sums stay exact. */

/* As the other levels: to nearest, ties to even, with the half's largest at 127. The largest is found by the bits of |x|, where NaN is above all. */
static void k_quantise(const float *x, uint32_t k, unsigned row, struct cpu_qact *out) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    for (uint32_t b = 0; b < k / QBLOCK; b++, x += QBLOCK, out++) {
        float sums = 0;
        for (unsigned h = 0; h < 2; h++) {
            const __m256 u = _mm256_loadu_ps(x + 16 * h), v = _mm256_loadu_ps(x + 16 * h + 8);
            const __m256i most = _mm256_max_epi32(_mm256_castps_si256(_mm256_andnot_ps(sign, u)), _mm256_castps_si256(_mm256_andnot_ps(sign, v)));
            __m128i half = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
            half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4E));
            half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xB1));
            const float top = _mm_cvtss_f32(_mm_castsi128_ps(half)), inverse = inverse_of(top), d = top / 127.0f;
            if (!(top <= FLT_MAX)) {
                spoil_half(out, h, row);
                sums = NAN;
                continue;
            }
            const __m256i qu = _mm256_cvtps_epi32(_mm256_mul_ps(u, _mm256_set1_ps(inverse))), qv = _mm256_cvtps_epi32(_mm256_mul_ps(v, _mm256_set1_ps(inverse)));
            const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(qu, qv), 0xD8); /* packs works in each half of a register */
            _mm_storeu_si128((__m128i *)(void *)(out->q[row] + 16 * h), _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
            const __m256i s = _mm256_add_epi32(qu, qv);
            __m128i r = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
            r = _mm_add_epi32(r, _mm_shuffle_epi32(r, 0x4E));
            const int sum = _mm_cvtsi128_si32(_mm_add_epi32(r, _mm_shuffle_epi32(r, 0xB1)));
            out->minus_sum[h][row] = -sum;
            out->d[h][row] = d;
            sums += d * (float)sum;
        }
        out->d_sum[row] = sums;
    }
}

INLINE __m256i bytes_at(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
INLINE __m256i shift_bits(__m256i x, const int left) { return left > 0 ? _mm256_slli_epi16(x, left) : left < 0 ? _mm256_srli_epi16(x, -left) : x; }

/* Group g of 8 outputs, those of half `side` of the panel; of 8 bits the low (pass 0) or high nibble. */
INLINE __m256i group_of(const uint8_t *p, const unsigned bits, const unsigned g, const unsigned side, const unsigned pass) {
    p += 32 * side;
    if (bits == 8) return _mm256_and_si256(shift_bits(bytes_at(p + 64 * g), pass ? -4 : 0), _mm256_set1_epi8(15));
    __m256i w = _mm256_and_si256(shift_bits(bytes_at(p + 64 * (g % 4)), g < 4 ? 0 : -4), _mm256_set1_epi8(15));
    if (bits == 5) w = _mm256_or_si256(w, _mm256_and_si256(shift_bits(bytes_at(p + 256), 4 - (int)g), _mm256_set1_epi8(16)));
    if (bits == 6) w = _mm256_or_si256(w, _mm256_and_si256(shift_bits(bytes_at(p + 256 + 64 * (g / 4)), 4 - 2 * (int)(g % 4)), _mm256_set1_epi8(48)));
    return w;
}

INLINE __m256 scale_of(const uint8_t *p, const bool f16, const unsigned side) {
    return f16 ? _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * side))) : _mm256_loadu_ps((const float *)(const void *)(p + 32 * side));
}
INLINE __m256i four_of(const int8_t *p) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
}

/* sum[m][side] += the products of groups [first, first + count), for all rows; everything is a constant but the pointers. */
INLINE void add_groups(const uint8_t *w, const struct cpu_qact *a, const unsigned mr, const unsigned bits, const unsigned first, const unsigned count, const unsigned pass, __m256i sum[CPU_MAX_MR][2]) {
    __m256i s[CPU_MAX_MR][2];
    UNROLL(8)
    for (unsigned i = 0; i < count; i++) {
        const __m256i q0 = group_of(w, bits, first + i, 0, pass), q1 = group_of(w, bits, first + i, 1, pass);
        UNROLL(12)
        for (unsigned m = 0; m < mr; m++) {
            const __m256i x = four_of(a->q[m] + 4 * (first + i));
            const __m256i p0 = _mm256_maddubs_epi16(q0, x), p1 = _mm256_maddubs_epi16(q1, x);
            s[m][0] = i ? _mm256_add_epi16(s[m][0], p0) : p0;
            s[m][1] = i ? _mm256_add_epi16(s[m][1], p1) : p1;
        }
    }
    UNROLL(12)
    for (unsigned m = 0; m < mr; m++)
        for (unsigned side = 0; side < 2; side++) sum[m][side] = _mm256_add_epi32(sum[m][side], _mm256_madd_epi16(s[m][side], _mm256_set1_epi16(pass ? 16 : 1)));
}

/* Everything but t is a constant where this is inlined. */
INLINE void qtile_body(const struct cpu_qtile *t, const unsigned mr, const unsigned bits, const unsigned zero_log2, const bool f16, const bool halves, const enum qpack_low low) {
    const size_t plane = 64 * bits, scale_bytes = QPANEL * (f16 ? 2 : 4), block = plane + scale_bytes * (1 + halves + (low != QPACK_NO_LOW));
    const unsigned n_passes = bits == 8 ? 2 : 1, depth = bits == 6 ? 2 : 4;
    const struct cpu_qact *a = t->a;
    const uint8_t *w = t->w;
    _Alignas(32) float y[CPU_MAX_MR][QPANEL] = {{0}}; /* in L1: the registers are the integer sums' */
    for (uint32_t b = 0; b < t->n_blocks; b++, a++, w += block) {
        UNROLL(2)
        for (unsigned h = 0; h < 2; h++) {
            __m256i sum[CPU_MAX_MR][2];
            UNROLL(12)
            for (unsigned m = 0; m < mr; m++) sum[m][0] = sum[m][1] = zero_log2 ? _mm256_slli_epi32(_mm256_set1_epi32(a->minus_sum[h][m]), zero_log2) : _mm256_setzero_si256();
            UNROLL(2)
            for (unsigned pass = 0; pass < n_passes; pass++)
                UNROLL(4)
                for (unsigned g = 0; g < 4; g += depth) add_groups(w, a, mr, bits, 4 * h + g, depth, pass, sum);
            UNROLL(2)
            for (unsigned side = 0; side < 2; side++) {
                const __m256 scale = scale_of(w + plane + (halves ? h : 0) * scale_bytes, f16, side);
                __m256 least = low && h ? scale_of(w + plane + scale_bytes, f16, side) : _mm256_setzero_ps();
                if (low == QPACK_ZERO) least = _mm256_fnmadd_ps(least, scale, _mm256_setzero_ps());
                UNROLL(12)
                for (unsigned m = 0; m < mr; m++) {
                    __m256 r = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[m][side]), _mm256_mul_ps(scale, _mm256_set1_ps(a->d[h][m])), _mm256_load_ps(y[m] + 8 * side));
                    if (low && h) r = _mm256_fmadd_ps(least, _mm256_set1_ps(a->d_sum[m]), r);
                    _mm256_store_ps(y[m] + 8 * side, r);
                }
            }
        }
    }
    for (unsigned m = 0; m < mr; m++) emit_panel(&t->epilogue, m, y[m]);
}
