#include "text/parts.h"
unsigned unicode_script(uint32_t cp) { return cp != 0; }
