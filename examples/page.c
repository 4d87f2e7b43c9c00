/* page.c - how the demo looks; see page.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "page.h"

enum { PIPE_WIDTH = 80, NARROWEST = 40, WIDEST = 100, BAR = 20 };

void page_open(struct page *p) {
    const char *off = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize ws = {0};
    bool terminal = isatty(STDOUT_FILENO);
    int width = terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col ? ws.ws_col : PIPE_WIDTH;
    *p = (struct page){.width = width < NARROWEST ? NARROWEST : width > WIDEST ? WIDEST : width};
    p->colour = terminal && term && strcmp(term, "dumb") && !(off && *off);
}

const char *page_style(const struct page *p, enum page_style style) {
    static const char *const START[] = {"\033[0m", "\033[1m", "\033[1;33m", "\033[1;36m", "\033[32m", "\033[31m", "\033[2m"};
    return p->colour ? START[style] : "";
}

static int columns(const char *text, size_t len) { /* one for each character: enough for a demo */
    int n = 0;
    for (size_t i = 0; i < len; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

static void end_word(struct page *p) {
    if (!p->word_len) return;
    int n = columns(p->word, p->word_len);
    if (p->at && p->indent + p->at + 1 + n > p->width) printf("\n%*s", p->indent, ""), p->at = 0;
    p->at += printf("%s", p->at ? " " : "") + n;
    fwrite(p->word, 1, p->word_len, stdout);
    p->word_len = 0;
}

void page_begin(struct page *p, int indent) {
    p->indent = indent, p->at = 0, p->word_len = 0;
}

void page_write(struct page *p, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        bool space = text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r';
        if (space || p->word_len == sizeof p->word) end_word(p);
        if (!space) p->word[p->word_len++] = text[i];
    }
    fflush(stdout);
}

void page_end(struct page *p) {
    end_word(p);
    putchar('\n');
}

void page_paragraph(struct page *p, int indent, const char *text) {
    printf("%*s", indent, "");
    page_begin(p, indent);
    page_write(p, text, strlen(text));
    page_end(p);
}

void page_bar(const struct page *p, double share, enum page_style style) {
    int full = share > 0 ? (int)(share * BAR + 0.5) : 0;
    fputs(page_style(p, style), stdout);
    for (int i = 0; i < BAR; i++) fputs(i < full ? "█" : "·", stdout);
    printf("%s %.2f", page_style(p, STYLE_PLAIN), share);
}
