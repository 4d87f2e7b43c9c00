/* bus.c - a model's file that is cut while the server reads its mapping.
 *
 * The kernel then sends SIGBUS to whoever touches a page that is no longer there, and by default that ends the process. The handler, which is the program's and
 * not the library's to install, puts a page of zeros there, so that the forward goes on to a wrong result, and counts. Results are not given out while
 * a count stands whose model is not known: models.c then looks which file has changed, and marks its models as failed. A SIGBUS of another kind ends the process as ever. */
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"

static atomic_uint faults; /* a process has one handler, and this is what it has to say */

static void on_bus(int number, siginfo_t *info, void *context) {
    const uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *page = (void *)((uintptr_t)info->si_addr & ~(size - 1));
    (void)context;
    if (info->si_code == BUS_ADRERR && mmap(page, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) atomic_fetch_add(&faults, 1);
    else signal(number, SIG_DFL); /* and the instruction faults again */
}

void bus_catch(void) {
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, NULL);
}
unsigned bus_faults(void) { return atomic_load(&faults); }
