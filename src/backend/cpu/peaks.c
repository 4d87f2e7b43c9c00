#include "backend/cpu/peaks.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/kernels.h"
#include "backend/hostmem.h"
#include "base/thread.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { RUNS = 5, FMA_LOOPS = 1 << 20, ROWS = 1 << 8 };
#define READ_BYTES ((uint64_t)192 << 20)

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct measure {
    const struct cpu_kernels *kernels;
    float *a, *b, *out; /* one full tile for each thread */
    const uint64_t *memory;
    _Atomic uint64_t sink;
    bool vnni;
};

/* f32: a full tile whose operands stay in L1, which is the multiply-add rate that a kernel can reach. */
static void run_fma(void *arg, unsigned thread, unsigned n) {
    (void)n;
    struct measure *m = arg;
    const uint32_t k = ROWS, room = CPU_MAX_MR * CPU_MAX_NR;
    struct cpu_tile t = {.a = m->a, .a_stride = m->kernels->mr, .b = m->b, .out = m->out + (size_t)thread * room, .out_stride = m->kernels->nr,
                         .k = k, .mr = m->kernels->mr, .n_panels = 1, .n_cols = m->kernels->nr};
    for (unsigned i = 0; i < FMA_LOOPS / ROWS; i++) m->kernels->tile(&t);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) static uint64_t vnni_loop(void) {
    __m512i acc[12], x = _mm512_set1_epi32(0x01010101), y = _mm512_set1_epi32(0x02020202);
    for (unsigned i = 0; i < 12; i++) acc[i] = _mm512_set1_epi32((int)i);
    for (unsigned n = 0; n < FMA_LOOPS; n++) {
#pragma GCC unroll 12
        for (unsigned i = 0; i < 12; i++) {
            acc[i] = _mm512_dpbusd_epi32(acc[i], x, y);
            __asm__("" : "+v"(acc[i]));
        }
    }
    for (unsigned i = 1; i < 12; i++) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
    return (uint64_t)_mm512_reduce_add_epi32(acc[0]);
}
/* Without VNNI: products of bytes added in 16 bits, as the int8 tile does. */
__attribute__((target("avx2"))) static uint64_t maddubs_loop(void) {
    __m256i acc[12], x = _mm256_set1_epi8(1), y = _mm256_set1_epi8(2);
    for (unsigned i = 0; i < 12; i++) acc[i] = _mm256_set1_epi16((short)i);
    for (unsigned n = 0; n < FMA_LOOPS; n++) {
#pragma GCC unroll 12
        for (unsigned i = 0; i < 12; i++) {
            __asm__("" : "+x"(x)); /* or the product would be computed once */
            acc[i] = _mm256_add_epi16(acc[i], _mm256_maddubs_epi16(x, y));
            __asm__("" : "+x"(acc[i]));
        }
    }
    for (unsigned i = 1; i < 12; i++) acc[0] = _mm256_add_epi16(acc[0], acc[i]);
    return (uint64_t)_mm256_extract_epi64(acc[0], 0);
}
#endif
static void run_int8(void *arg, unsigned thread, unsigned n) {
    (void)thread, (void)n;
    struct measure *m = arg;
#if defined(__x86_64__)
    m->sink += m->vnni ? vnni_loop() : maddubs_loop();
#else
    (void)m;
#endif
}

static void run_read(void *arg, unsigned thread, unsigned n) {
    struct measure *m = arg;
    const uint64_t words = READ_BYTES / 8, from = words / n * thread, to = thread + 1 == n ? words : words / n * (thread + 1);
    uint64_t s[8] = {0};
    for (uint64_t i = from; i + 8 <= to; i += 8)
        for (unsigned k = 0; k < 8; k++) s[k] += m->memory[i + k];
    for (unsigned k = 1; k < 8; k++) s[0] += s[k];
    m->sink += s[0];
}

static double median_time(struct pool *p, pool_fn fn, struct measure *m) {
    double t[RUNS];
    pool_run(p, fn, m);
    for (unsigned i = 0; i < RUNS; i++) {
        double start = now();
        pool_run(p, fn, m);
        t[i] = now() - start;
    }
    qsort(t, RUNS, sizeof *t, by_value);
    return t[RUNS / 2];
}

gllm_status cpu_peaks(unsigned n_threads, gllm_peaks *out, gllm_error *err) {
    *out = (gllm_peaks){.threads = n_threads ? n_threads : cpu_count()};
    struct measure m = {.vnni = cpu_has_vnni()};
    struct pool *pool;
    TRY(cpu_kernels_choose(NULL, &m.kernels, err));
    TRY(pool_open(&pool, out->threads, err));
    const size_t tile = (size_t)ROWS * (CPU_MAX_MR + CPU_MAX_NR);
    m.a = hostmem_pages((tile + (size_t)out->threads * CPU_MAX_MR * CPU_MAX_NR) * sizeof(float));
    void *memory = hostmem_pages(READ_BYTES);
    m.memory = memory;
    if (m.a && memory) {
        for (size_t i = 0; i < tile; i++) m.a[i] = 0.001f;
        m.b = m.a + (size_t)ROWS * CPU_MAX_MR;
        m.out = m.a + tile;
        memset(memory, 1, READ_BYTES);
        double work = (double)out->threads * FMA_LOOPS;
        out->gflops_f32 = work * 2 * m.kernels->mr * m.kernels->nr / median_time(pool, run_fma, &m) * 1e-9;
        if (m.kernels->qtile) out->gops_int8 = work * 12 * (m.vnni ? 128 : 64) / median_time(pool, run_int8, &m) * 1e-9;
        out->read_gb_per_s = (double)READ_BYTES / median_time(pool, run_read, &m) * 1e-9;
    }
    bool ok = m.a && memory;
    free(m.a);
    free(memory);
    pool_close(pool);
    return ok ? GLLM_OK : err_nomem(err, "peak measurement");
}
