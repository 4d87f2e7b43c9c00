/* cpuid.c - which instruction levels this processor and its operating system carry. */
#include <stdio.h>
#include <string.h>

#include "backend/cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t xcr0(void) { /* which register state the operating system saves */
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

struct cpu_flags {
    bool avx2, avx512, vnni;
};
static struct cpu_flags flags_read(void) {
    struct cpu_flags f = {0};
    unsigned a, b, c, d, c1;
    if (!__get_cpuid(1, &a, &b, &c1, &d) || !(c1 & bit_OSXSAVE)) return f;
    uint64_t state = xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
    const unsigned fma_set = bit_FMA | bit_F16C | bit_AVX, wide_set = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
    f.avx2 = (state & 0x6) == 0x6 && (c1 & fma_set) == fma_set && (b & bit_AVX2) && (b & bit_BMI2);
    f.avx512 = f.avx2 && (state & 0xE6) == 0xE6 && (b & wide_set) == wide_set;
    f.vnni = f.avx512 && (c & bit_AVX512VNNI);
    return f;
}
bool cpu_has_vnni(void) { return flags_read().vnni; }

void cpu_brand(char *buf, size_t size) {
    unsigned r[12], max = __get_cpuid_max(0x80000000, NULL);
    snprintf(buf, size, "CPU");
    if (max < 0x80000004) return;
    for (unsigned i = 0; i < 3; i++) __get_cpuid(0x80000002 + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    char text[49] = {0};
    memcpy(text, r, 48);
    const char *p = text + strspn(text, " ");
    snprintf(buf, size, "%s", p);
    for (size_t n = strlen(buf); n && buf[n - 1] == ' '; n--) buf[n - 1] = '\0';
}
#else
bool cpu_has_vnni(void) { return false; }
void cpu_brand(char *buf, size_t size) { snprintf(buf, size, "CPU"); }
#endif

/* The levels that run here, best first; returns how many. */
static unsigned levels(const struct cpu_kernels *out[4]) {
    unsigned n = 0;
#if defined(__x86_64__)
    struct cpu_flags f = flags_read();
    if (f.vnni) out[n++] = &cpu_kernels_avx512_vnni;
    if (f.avx512) out[n++] = &cpu_kernels_avx512;
    if (f.avx2) out[n++] = &cpu_kernels_avx2;
#endif
    out[n++] = &cpu_kernels_portable;
    return n;
}

gllm_status cpu_kernels_choose(const char *isa, const struct cpu_kernels **out, gllm_error *err) {
    const struct cpu_kernels *have[4];
    unsigned n = levels(have);
    *out = have[0];
    if (!isa || !*isa) return GLLM_OK;
    char names[64] = "";
    for (unsigned i = 0; i < n; i++) {
        *out = have[i];
        if (!strcmp(isa, have[i]->name)) return GLLM_OK;
        size_t at = strlen(names);
        snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", have[i]->name);
    }
    return err_set(err, GLLM_UNSUPPORTED, "instruction level \"%.40s\": this processor has %s", isa, names);
}
