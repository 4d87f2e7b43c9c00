/* cpu.h - what the files of the cpu backend share: the open device, its weights, and one run in flight. */
#ifndef GLLM_BACKEND_CPU_CPU_H
#define GLLM_BACKEND_CPU_CPU_H
#include "backend/cpu/kernels.h"
#include "backend/hostmem.h"
#include "base/thread.h"

struct cpu_slab; /* a block of huge pages that packed weights are carved from */
struct cpu_backend {
    struct backend base;
    const struct cpu_kernels *kernels;
    struct pool *pool;
    struct cpu_slab *slabs;
    unsigned n_threads;
};

struct cpu_weight {
    struct weight base;
    const float *data; /* MATRIX: panels [rows / nr][cols][nr], zero-padded; TABLE: row-major; VECTOR: zero-padded to CPU_MAX_NR */
    bool borrowed;     /* data is the caller's */
};
static inline const float *cpu_data(const struct weight *w) { return w ? ((const struct cpu_weight *)w)->data : NULL; }
static inline float *cpu_row(const struct view *v, uint32_t row) { return view_ptr(v) + (size_t)row * v->stride; }

gllm_status cpu_weight_prepare(struct backend *be, const struct weight_desc *d, struct weight **out, gllm_error *err);
void cpu_weight_free(struct backend *be, struct weight *w);
uint64_t cpu_weight_bytes(const struct weight_desc *d);
bool cpu_weight_borrows(const struct weight *w);
void cpu_slabs_free(struct cpu_backend *be);

/* One run: shared by the threads of its parallel region. Memory is sized before the region starts. */
struct cpu_run {
    const struct cpu_kernels *kernels;
    struct pool *pool;
    const uint32_t *step;
    const struct step_layout *layout;
    float *packed;            /* the activations of the linear operation in flight, packed by tiles */
    float *const *scratch;    /* [n_threads] */
    const uint32_t *groups;   /* [n_seq + 1] query groups of attention before each sequence */
};
enum { CPU_QUERY_BLOCKS = 8 }; /* a query group: this many panels of queries share one packing of keys and values */

/* Each runs its part of an operation on one thread of the region; claims[0..1] are the operation's own. */
#define OP(KIND, member) void cpu_##member(const struct cpu_run *r, const struct op_##member *a, unsigned thread, _Atomic uint32_t *claims);
#include "backend/ops.def"
#undef OP
size_t cpu_attention_scratch(const struct op_attention *a, uint32_t max_len, const struct cpu_kernels *k); /* floats a thread */
size_t cpu_attend_scratch(const struct op_attend *a, const struct cpu_kernels *k);
#endif
