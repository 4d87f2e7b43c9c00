/* backend.h - the vtable: what a device must do, and nothing that a model could not say to every device.
 *
 * Buffers, weights and plans belong to the backend that made them; nobody else looks inside, and there is no host pointer to
 * device memory anywhere above this line. A backend is complete or absent: it runs every operation of ops.def.
 * What differs from call to call (ids, positions, lengths) lies in the tape's step buffer (tape.h), never in an operation,
 * so a plan made once stays valid.
 * Thread rule: one thread at a time uses an open backend (its owner); different backends are independent. */
#ifndef GLLM_BACKEND_BACKEND_H
#define GLLM_BACKEND_BACKEND_H
#include "backend/codes.h"
#include "base/error.h"
#include "base/log.h"
#include "tensor/dtype.h"

struct tape;
struct plan; /* each backend defines its own */
struct backend { /* each backend's own struct begins with this */
    const struct backend_ops *ops;
};
struct buffer { /* likewise */
    uint64_t bytes;
};
enum weight_role {
    WEIGHT_MATRIX, /* [rows = outputs, cols = inputs] of op_linear */
    WEIGHT_TABLE,  /* [rows, cols], read a row at a time */
    WEIGHT_VECTOR  /* [1, cols] added or multiplied along a row */
};
struct weight { /* likewise */
    enum weight_role role;
    uint32_t rows, cols;
};

/* Host data of one weight: `n_parts` matrices of the same cols stacked along rows (fused QKV is three), or vectors joined end to
 * end. The data is borrowed from before weight_prepare until weight_free: a backend may keep reading it in place. */
enum { WEIGHT_MAX_PARTS = 4 };
/* What stored values stand for, where the file keeps that beside them: weight[r][c] = value[r][c] scale[r / row_block][c / col_block],
 * the product rounded to f32. One scale for all: blocks as large as the part; one for each row: 1 x cols; tiles: 128 x 128. */
struct weight_scale {
    const void *data; /* [ceil(rows / row_block)][ceil(cols / col_block)], any alignment; NULL: none */
    enum dtype dtype; /* F32, F16 or BF16 */
    uint32_t row_block, col_block;
};
/* What an adapter adds to a matrix: weight[r][c] = value[r][c] + scale sum_k b[r][k] a[k][c], the sum rounded to f32. */
struct weight_delta {
    const void *a, *b; /* [rank, cols], [rows, rank], any alignment */
    enum dtype a_dtype, b_dtype; /* F32, F16 or BF16 */
    uint32_t rank;
    float scale;
};
struct weight_part {
    const void *data; /* row-major [rows, cols], any alignment; NULL: zeros. Where there are codes: those */
    enum dtype dtype; /* dtype_is_weight(), rows are whole blocks; not read where there are codes */
    uint32_t rows;    /* for a WEIGHT_VECTOR: number of values in this part */
    struct weight_scale scale; /* of the part's own rows; none for a WEIGHT_VECTOR */
    const struct weight_codes *codes; /* borrowed as data is: what the values are computed from; NULL: they stand in data. None for a WEIGHT_VECTOR */
    const struct weight_delta *delta; /* borrowed likewise; NULL: none. Only of a WEIGHT_MATRIX */
};
struct weight_desc {
    const char *name; /* for messages */
    enum weight_role role;
    uint32_t cols; /* for a WEIGHT_VECTOR: the total */
    uint32_t n_parts;
    struct weight_part parts[WEIGHT_MAX_PARTS];
};

struct backend_caps {
    char device[96];  /* "AMD EPYC 9554" */
    char detail[160]; /* "avx512, 2 threads"; or why the device is not available and how to get it */
    uint64_t mem_total, mem_free;
    uint32_t threads;
    const char *precision; /* of an open device: how activations are multiplied with the weights prepared so far: "f32"; "int8" with those that allow it. Static */
};
struct backend_options {
    uint32_t device;         /* index among devices of this kind */
    uint32_t threads;        /* CPU: pool size; 0: cpu_count() */
    const char *isa;         /* CPU: instruction level by name, for tests; NULL: the best here. Unknown or absent: GLLM_UNSUPPORTED */
    gllm_precision precision; /* AUTO: the device's best for each weight (int8 activations for quantised ones); F32: exact. One that the
                               device cannot compute: GLLM_UNSUPPORTED */
    struct log log;
};
enum buffer_kind { BUFFER_ACTIVATION, BUFFER_STEP, BUFFER_READBACK };

struct backend_ops {
    const char *name; /* "cpu" */
    /* device. probe answers quickly, opens nothing, and fills caps->detail in either case */
    gllm_status (*probe)(uint32_t device, struct backend_caps *caps);
    gllm_status (*open)(struct backend **out, const struct backend_options *opt, gllm_error *err);
    /* One more open backend on be's device, with so many threads of its own: its plans read be's weights, prepared before, while be's go on. Closed before be */
    gllm_status (*share)(struct backend *be, uint32_t threads, struct backend **out, gllm_error *err);
    void (*close)(struct backend *be); /* NULL ok; every buffer, weight and plan was freed before */
    void (*describe)(struct backend *be, struct backend_caps *caps); /* the open device */
    gllm_status (*mem_info)(struct backend *be, uint64_t *free_bytes, uint64_t *total_bytes);
    void (*trim)(struct backend *be); /* gives back pooled memory */
    /* memory. alloc: contents undefined. write and read are complete when they return */
    gllm_status (*alloc)(struct backend *be, uint64_t bytes, enum buffer_kind kind, struct buffer **out, gllm_error *err);
    void (*buffer_free)(struct backend *be, struct buffer *b); /* NULL ok */
    gllm_status (*write)(struct backend *be, struct buffer *b, uint64_t offset, const void *src, uint64_t n, gllm_error *err);
    gllm_status (*read)(struct backend *be, struct buffer *b, uint64_t offset, void *dst, uint64_t n, gllm_error *err);
    gllm_status (*copy)(struct backend *be, struct buffer *dst, uint64_t dst_offset, struct buffer *src, uint64_t src_offset, uint64_t n, gllm_error *err);
    gllm_status (*fill)(struct backend *be, struct buffer *b, uint64_t offset, uint32_t word, uint64_t n, gllm_error *err); /* n % 4 == 0 */
    /* weights: the backend picks its own layout. weight_bytes: device memory that preparing would take, nothing prepared */
    gllm_status (*weight_prepare)(struct backend *be, const struct weight_desc *desc, struct weight **out, gllm_error *err);
    void (*weight_free)(struct backend *be, struct weight *w); /* NULL ok */
    uint64_t (*weight_bytes)(const struct weight_desc *desc);
    bool (*weight_borrows)(const struct weight *w); /* still reads the host data of its desc */
    /* work */
    gllm_status (*exec)(struct backend *be, const struct tape *t, size_t first, size_t count, gllm_error *err); /* now, op by op */
    gllm_status (*plan)(struct backend *be, const struct tape *t, struct plan **out, gllm_error *err); /* t outlives the plan */
    gllm_status (*run)(struct backend *be, struct plan *p, gllm_error *err); /* queued on a GPU, complete after wait */
    void (*plan_free)(struct backend *be, struct plan *p); /* NULL ok */
    gllm_status (*wait)(struct backend *be, gllm_error *err);  /* until all queued work is done */
    /* measuring: on: run() records wall microseconds of each op; off: us[0..n) gets the sums since on, by op index */
    gllm_status (*prof)(struct backend *be, struct plan *p, bool on, double *us, size_t n, gllm_error *err);
};

/* registry.c */
extern const struct backend_ops backend_ref, backend_cpu;
struct backend_entry { /* in the order in which "auto" tries them */
    const char *name;
    const struct backend_ops *ops; /* NULL: not in this build */
    const char *absent;            /* then: why, and how to get it */
    bool automatic;                /* "auto" may choose it */
};
const struct backend_entry *backend_entries(size_t *n);
/* "auto" takes the first automatic one that answers; any other name must answer or it is GLLM_UNSUPPORTED (unknown, not built) or
 * GLLM_DEVICE (does not answer) with the reason. `log` hears what auto passed over. */
gllm_status backend_choose(const char *name, const struct log *log, const struct backend_ops **out, gllm_error *err);
#endif
