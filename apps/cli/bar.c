#include <string.h>

#include "cli.h"

enum { WAIT_MS = 500, EVERY_MS = 100, WIDEST = 24 };

static void left_text(char *out, size_t size, double seconds) {
    if (seconds < 100) snprintf(out, size, "%.0f s left", seconds);
    else if (seconds < 6000) snprintf(out, size, "%.0f min left", seconds / 60);
    else snprintf(out, size, "%.1f h left", seconds / 3600);
}

/* "embedded 1200  [=====>      ]  47 %  310/s  4 s left", cut from the bar outwards to what the terminal holds. */
void cli_bar_show(const char *done, const char *rate, double share, double seconds, unsigned columns) {
    char rest[96], left[32];
    snprintf(rest, sizeof rest, "  %s", rate);
    if (share > 0) {
        left_text(left, sizeof left, seconds * (1 - share) / share);
        snprintf(rest, sizeof rest, "  %.0f %%  %s  %s", 100 * share, rate, left);
    }
    const size_t at = strlen(done) + strlen(rest) + 4;
    int room = columns > at + 1 ? (int)(columns - at - 1) : 0, full;
    if (room > WIDEST) room = WIDEST;
    full = (int)(room * share + 0.5);
    if (at - 4 >= columns) *rest = '\0';
    if (share > 0 && room >= 6)
        fprintf(stderr, "\r\033[K%s  [%.*s%*s]%s", done, full, "========================", room - full, "", rest);
    else fprintf(stderr, "\r\033[K%s%s", done, rest);
}

static void show(const struct cli_bar *bar, size_t all, double share, double seconds, unsigned columns) {
    char count[64], speed[32];
    const double rate = (double)all / seconds;
    snprintf(count, sizeof count, "%s %zu", bar->what, all);
    snprintf(speed, sizeof speed, "%.*f/s", rate < 10 ? 1 : 0, rate);
    cli_bar_show(count, speed, share, seconds, columns);
}

bool cli_progress(void *user, size_t done, size_t total) {
    struct cli_bar *bar = user;
    double now = cli_now_ms();
    unsigned columns;
    if (cli_interrupted()) return false;
    if (bar->options->quiet || now - bar->start_ms < WAIT_MS || now - bar->shown_ms < EVERY_MS) return true;
    if (!(columns = cli_columns(stderr))) return true;
    double share = bar->to < 0 ? 0 : bar->from + (bar->to - bar->from) * (double)done / (double)total;
    show(bar, bar->base + done, share, (now - bar->start_ms) / 1e3, columns);
    bar->shown = true;
    bar->shown_ms = now;
    return true;
}

void cli_bar_clear(struct cli_bar *bar) {
    if (bar->shown) fputs("\r\033[K", stderr);
    bar->shown = false;
}
