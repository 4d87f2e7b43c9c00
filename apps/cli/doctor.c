/* doctor.c - gllm doctor: what this machine offers, and what is missing. */
#include <string.h>

#include "cli.h"

int verb_doctor(const struct cli_verb *v, struct cli_options *o) {
    (void)v;
    gllm_machine *m;
    gllm_error err = {0};
    if (gllm_machine_describe(&m, &err) != GLLM_OK) return cli_fail(&err);
    if (o->json) {
        printf("{\"version\":\"%s\",\"chosen\":\"%s\",\"home\":", gllm_version_string(), m->chosen ? m->chosen : "");
        cli_json_text(stdout, m->home, strlen(m->home));
        fputs(",\"backends\":[", stdout);
    } else printf("gllm %s\n  models     %s/models\n  auto takes %s\n", gllm_version_string(), m->home, m->chosen ? m->chosen : "nothing: no backend answers");
    for (size_t i = 0; i < m->n_backends; i++) {
        const gllm_backend_info *b = &m->backends[i];
        if (!o->json) {
            printf("  %-5s %s", b->name, b->available ? b->device : b->detail);
            if (b->available) printf(" (%s), %.1f of %.1f GiB free", b->detail, (double)b->mem_free / 0x1p30, (double)b->mem_total / 0x1p30);
            putchar('\n');
            continue;
        }
        printf("%s{\"name\":\"%s\",\"built\":%s,\"available\":%s,\"device\":", i ? "," : "", b->name, b->built ? "true" : "false", b->available ? "true" : "false");
        cli_json_text(stdout, b->device, strlen(b->device));
        fputs(",\"detail\":", stdout);
        cli_json_text(stdout, b->detail, strlen(b->detail));
        printf(",\"mem_total\":%llu,\"mem_free\":%llu,\"threads\":%u}", (unsigned long long)b->mem_total, (unsigned long long)b->mem_free, b->threads);
    }
    if (o->json) puts("]}");
    gllm_machine_free(m);
    return cli_close_output(stdout, "standard output");
}
