/* doctor.c - gllm doctor: what this machine offers, and what is missing. */
#include <string.h>

#include "cli.h"

static const char *yes_no(bool b) { return b ? "true" : "false"; }

static void print_json(const gllm_machine *m) {
    printf("{\"version\":\"%s\",\"chosen\":\"%s\",\"home\":", gllm_version_string(), m->chosen ? m->chosen : "");
    cli_json_text(stdout, m->home);
    fputs(",\"backends\":[", stdout);
    for (size_t i = 0; i < m->n_backends; i++) {
        const gllm_backend_info *b = &m->backends[i];
        printf("%s{\"name\":\"%s\",\"built\":%s,\"available\":%s,\"device\":", i ? "," : "", b->name, yes_no(b->built),
               yes_no(b->available));
        cli_json_text(stdout, b->device);
        fputs(",\"detail\":", stdout);
        cli_json_text(stdout, b->detail);
        printf(",\"mem_total\":%llu,\"mem_free\":%llu,\"threads\":%u}", (unsigned long long)b->mem_total,
               (unsigned long long)b->mem_free, b->threads);
    }
    puts("]}");
}

static void print_text(const gllm_machine *m) {
    const char *plain = cli_style(stdout, STYLE_PLAIN);
    printf("%sgllm %s%s\n", cli_style(stdout, STYLE_BOLD), gllm_version_string(), plain);
    printf("  models  %s/models\n", m->home);
    printf("  auto    %s\n", m->chosen ? m->chosen : "nothing: no backend answers");
    for (size_t i = 0; i < m->n_backends; i++) {
        const gllm_backend_info *b = &m->backends[i];
        char text[512];
        if (b->available)
            snprintf(text, sizeof text, "%s (%s), %.1f of %.1f GiB free", b->device, b->detail, (double)b->mem_free / 0x1p30,
                     (double)b->mem_total / 0x1p30);
        else snprintf(text, sizeof text, "%s", b->detail);
        printf("  %s%-6s%s  ", cli_style(stdout, b->available ? STYLE_GOOD : STYLE_PLAIN), b->name, plain);
        cli_wrap(stdout, text, 10);
    }
}

int verb_doctor(const struct cli_options *o) {
    gllm_machine *m;
    gllm_error err = {0};
    if (o->parity && *o->parity) return cli_parity(o);
    if (o->bound > 0) return cli_usage("doctor: --bound belongs to --parity MODEL");
    if (o->parity) return cli_families(o);
    if (gllm_machine_describe(&m, &err) != GLLM_OK) return cli_fail(&err);
    if (o->json) print_json(m);
    else print_text(m);
    gllm_machine_free(m);
    return cli_flush(stdout, "standard output");
}
