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
    bool exact; /* quantised weights are multiplied as f32 */
    bool quantises; /* a weight was prepared in form CPU_QUANT */
};

enum cpu_form {
    CPU_F32,    /* MATRIX: panels [rows / nr][cols][nr], zero-padded; TABLE: row-major; VECTOR: zero-padded to CPU_MAX_NR */
    CPU_NATIVE, /* MATRIX, TABLE: rows as the file has them, the caller's; widened when they are used */
    CPU_QUANT   /* MATRIX: int8 panels (qpack.h) */
};
struct cpu_qpanel {
    const uint8_t *data;
    enum qpack_kind kind;
};
struct cpu_weight {
    struct weight base;
    enum cpu_form form;
    bool borrowed;                  /* the caller's data is still read */
    const float *data;              /* CPU_F32 */
    struct weight_desc desc;        /* CPU_NATIVE; its name may be gone */
    struct cpu_qpanel *panels;      /* CPU_QUANT: [rows / QPANEL], owned */
    uint32_t *order;                /* CPU_QUANT: [cols] the input that stands at each place of a panel, owned; NULL: as they come */
};
static inline const struct cpu_weight *cpu_weight(const struct weight *w) { return (const struct cpu_weight *)w; }
/* A VECTOR, or a TABLE or MATRIX of form CPU_F32. */
static inline const float *cpu_data(const struct weight *w) { return w ? cpu_weight(w)->data : NULL; }
/* Row `row` of a table as f32: in place, or widened into `wide` [cols]. */
const float *cpu_table_row(const struct cpu_kernels *k, const struct weight *w, uint32_t row, float *wide);
/* Panel p of a CPU_NATIVE matrix as an f32 panel [cols][nr]; room [4][cols]. */
void cpu_widen_panel(const struct cpu_kernels *k, const struct cpu_weight *w, uint32_t p, float *room, float *out);
static inline float *cpu_row(const struct view *v, uint32_t row) { return view_ptr(v) + (size_t)row * v->stride; }

gllm_status cpu_weight_prepare(struct backend *be, const struct weight_desc *d, struct weight **out, gllm_error *err);
void cpu_weight_free(struct backend *be, struct weight *w);
uint64_t cpu_weight_bytes(const struct weight_desc *d);
bool cpu_weight_borrows(const struct weight *w);
void cpu_slabs_free(struct cpu_backend *be);

/* Rows are dealt evenly to tiles of at most mr, so that no tile is a sliver: the first row of a tile. */
static inline uint32_t cpu_tile_row(uint32_t rows, uint32_t n_tiles, uint32_t tile) { return (uint32_t)((uint64_t)rows * tile / n_tiles); }

/* One run: shared by the threads of its parallel region. Memory is sized before the region starts. */
struct cpu_run {
    const struct cpu_kernels *kernels;
    struct pool *pool;
    const uint32_t *step;
    const struct step_layout *layout;
    void *packed;             /* the activations of the linear operation in flight, packed by tiles: floats, or struct cpu_qact; attention's parts */
    float *const *scratch;    /* [n_threads] */
    const uint32_t *groups;   /* [n_seq + 1] query groups of attention before each sequence */
};
enum { CPU_QUERY_BLOCKS = 8 }; /* a query group: this many panels of queries share one packing of keys and values */

/* Each runs its part of an operation on one thread of the region; claims[0..1] are the operation's own. */
#define OP(KIND, member) void cpu_##member(const struct cpu_run *r, const struct op_##member *a, unsigned thread, _Atomic uint32_t *claims);
#include "backend/ops.def"
#undef OP
size_t cpu_attention_scratch(const struct op_attention *a, uint32_t max_len, const struct cpu_kernels *k); /* floats a thread */
size_t cpu_linear_packed(const struct op_linear *a, uint32_t rows, const struct cpu_kernels *k); /* bytes of packed activations */
size_t cpu_linear_scratch(const struct op_linear *a, const struct cpu_kernels *k);
size_t cpu_attend_parts(const struct op_attend *a, const uint32_t *step, const struct step_layout *l, const struct cpu_kernels *k); /* bytes that its threads share */
size_t cpu_attend_scratch(const struct op_attend *a, const struct cpu_kernels *k);
#endif
