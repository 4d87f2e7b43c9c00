/* metrics.c - counts of what was served, and GET /metrics: Prometheus' text, with the names of TEI (te_*) for what has one there, and gllm_* for all. */
#include <string.h>
#include <unistd.h>

#include "core.h"

void histogram_add(struct histogram *h, double value) {
    unsigned b = 0;
    for (double bound = 1; b < HISTOGRAM - 1 && value > bound; bound *= 2) b++;
    atomic_fetch_add(&h->buckets[b], 1);
    atomic_fetch_add(&h->count, 1);
    atomic_fetch_add(&h->thousandths, (unsigned long long)(value > 0 ? value * 1e3 : 0));
}

void metrics_request(struct server *s, const struct exchange *x) {
    struct metrics *m = &s->metrics;
    const struct request *q = &x->q;
    const int status = exchange_status(x);
    atomic_fetch_add(&m->requests, 1);
    atomic_fetch_add(status < 400 ? &m->success : &m->failure, 1);
    if (status >= 100 && status < 600) atomic_fetch_add(&m->by_class[status / 100], 1);
    if (atomic_load(&x->gone)) atomic_fetch_add(&m->gone, 1);
    atomic_fetch_add(&m->tokens_in, q->tokens_in);
    atomic_fetch_add(&m->tokens_out, q->tokens_out);
    atomic_fetch_add(&m->truncated, q->truncated);
    atomic_fetch_add(&m->items, q->items);
    if (!q->items) return;
    histogram_add(&m->duration, now_ms() - x->start_ms);
    histogram_add(&m->queue, q->queue_ms);
    histogram_add(&m->inference, q->compute_ms);
    histogram_add(&m->length, (double)q->tokens_in / (double)q->items);
}

/* ---- the page ---- */
static void head(struct text *t, const char *name, const char *type, const char *help) { text_format(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type); }
static void counter(struct text *t, const char *name, unsigned long long value, const char *help) {
    head(t, name, "counter", help);
    text_format(t, "%s %llu\n", name, value);
}
static void gauge(struct text *t, const char *name, double value, const char *help) {
    head(t, name, "gauge", help);
    text_format(t, "%s %.17g\n", name, value);
}
/* unit: what a bucket's 1 is in the metric's own unit: 0.001 for milliseconds told in seconds. */
static void histogram(struct text *t, const char *name, const struct histogram *h, double unit, const char *help) {
    unsigned long long sum = 0;
    double bound = 1;
    head(t, name, "histogram", help);
    for (unsigned b = 0; b + 1 < HISTOGRAM; b++, bound *= 2) {
        sum += atomic_load(&h->buckets[b]);
        text_format(t, "%s_bucket{le=\"%g\"} %llu\n", name, bound * unit, sum);
    }
    sum += atomic_load(&h->buckets[HISTOGRAM - 1]);
    text_format(t, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9g\n%s_count %llu\n", name, sum, name, (double)atomic_load(&h->thousandths) * 1e-3 * unit, name, sum);
}

static void put_requests(struct text *t, const struct metrics *m) {
    counter(t, "te_request_count", atomic_load(&m->requests), "Requests.");
    counter(t, "te_request_success", atomic_load(&m->success), "Requests answered with a status below 400.");
    counter(t, "te_request_failure", atomic_load(&m->failure), "Requests that failed.");
    histogram(t, "te_request_duration", &m->duration, 1e-3, "Seconds from a request to its answer.");
    histogram(t, "te_request_queue_duration", &m->queue, 1e-3, "Seconds until the first forward.");
    histogram(t, "te_request_inference_duration", &m->inference, 1e-3, "Seconds of forwards.");
    histogram(t, "te_request_input_length", &m->length, 1, "Tokens of a text.");
    head(t, "gllm_requests_total", "counter", "Requests by the class of their status.");
    for (int c = 2; c < 6; c++) text_format(t, "gllm_requests_total{class=\"%dxx\"} %llu\n", c, (unsigned long long)atomic_load(&m->by_class[c]));
    counter(t, "gllm_clients_gone_total", atomic_load(&m->gone), "Requests whose client hung up before the answer.");
    counter(t, "gllm_connections_total", atomic_load(&m->connections), "Connections since the start.");
    gauge(t, "gllm_connections", atomic_load(&m->open_connections), "Open connections.");
    counter(t, "gllm_items_total", atomic_load(&m->items), "Texts, documents and answers.");
    counter(t, "gllm_truncated_total", atomic_load(&m->truncated), "Texts that were cut to a model's limit.");
    head(t, "gllm_tokens_total", "counter", "Tokens read and written.");
    text_format(t, "gllm_tokens_total{kind=\"prompt\"} %llu\ngllm_tokens_total{kind=\"completion\"} %llu\n", (unsigned long long)atomic_load(&m->tokens_in),
                (unsigned long long)atomic_load(&m->tokens_out));
}

struct model_metric { /* of each model, with its name as label */
    const char *name, *type, *help;
    double (*value)(const gllm_model_status *m);
};

#define VALUE(field) static double value_##field(const gllm_model_status *m) { return (double)m->field; }
VALUE(memory_bytes) VALUE(waiting) VALUE(running) VALUE(batches) VALUE(batch_tokens) VALUE(batch_sequences) VALUE(cache_tokens) VALUE(cache_used) VALUE(idle_seconds)
static double value_ready(const gllm_model_status *m) { return m->state == GLLM_MODEL_READY; }
static double value_load(const gllm_model_status *m) { return m->load_ms * 1e-3; }
static const struct model_metric MODEL_METRICS[] = {
    {"gllm_model_ready", "gauge", "1: loaded.", value_ready},
    {"gllm_model_load_seconds", "gauge", "The last load.", value_load},
    {"gllm_model_memory_bytes", "gauge", "Weights, activations and caches.", value_memory_bytes},
    {"gllm_model_idle_seconds", "gauge", "Since the last request.", value_idle_seconds},
    {"gllm_jobs_waiting", "gauge", "Jobs before their first forward.", value_waiting},
    {"gllm_jobs_running", "gauge", "Jobs in forwards.", value_running},
    {"gllm_batches_total", "counter", "Forwards.", value_batches},
    {"gllm_batch_tokens_total", "counter", "Tokens of all forwards.", value_batch_tokens},
    {"gllm_batch_sequences_total", "counter", "Texts and answers of all forwards.", value_batch_sequences},
    {"gllm_cache_tokens", "gauge", "Tokens that a generator's cache holds.", value_cache_tokens},
    {"gllm_cache_used_tokens", "gauge", "Tokens of answers in flight.", value_cache_used},
};

static void put_models(struct text *t, const gllm_client_status *s) {
    double waiting = 0, batches = 0, sequences = 0, tokens = 0;
    for (size_t k = 0; k < sizeof MODEL_METRICS / sizeof *MODEL_METRICS; k++) {
        const struct model_metric *m = &MODEL_METRICS[k];
        head(t, m->name, m->type, m->help);
        for (size_t i = 0; i < s->count; i++) {
            text_format(t, "%s{model=", m->name);
            text_json_put(t, s->models[i].name);
            text_format(t, "} %.17g\n", m->value(&s->models[i]));
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        waiting += s->models[i].waiting, batches += (double)s->models[i].batches;
        sequences += (double)s->models[i].batch_sequences, tokens += (double)s->models[i].batch_tokens;
    }
    gauge(t, "te_queue_size", waiting, "Jobs before their first forward, of all models.");
    head(t, "te_batch_next_size", "summary", "Texts and answers of a forward.");
    text_format(t, "te_batch_next_size_sum %.17g\nte_batch_next_size_count %.17g\n", sequences, batches);
    head(t, "te_batch_next_tokens", "summary", "Tokens of a forward.");
    text_format(t, "te_batch_next_tokens_sum %.17g\nte_batch_next_tokens_count %.17g\n", tokens, batches);
}

static double resident_bytes(void) {
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*u %llu", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void metrics(struct request *q) {
    const struct server *s = q->server;
    gllm_client_status *status = NULL;
    struct text t = {0};
    put_requests(&t, &s->metrics);
    gauge(&t, "gllm_requests_in_flight", atomic_load(&s->active), "Requests that are not yet answered, this one among them.");
    if (gllm_client_get_status(q->client, &status, NULL) == GLLM_OK) put_models(&t, status);
    gllm_client_status_free(status);
    gauge(&t, "process_resident_memory_bytes", resident_bytes(), "Resident memory.");
    gauge(&t, "process_start_time_seconds", (double)s->start_time, "When the server started, since 1970.");
    reply_text(q, 200, "text/plain; version=0.0.4; charset=utf-8", &t);
}

const struct route metrics_routes[] = {
    {"GET", "/metrics", metrics, FAMILY_OPENAI, ROUTE_OPEN},
    {0},
};
