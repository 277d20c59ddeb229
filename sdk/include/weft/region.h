// Memory that processes of one runtime share. It is reached by calls, and not by pointers: each process has a memory of its own.
//
//   int frames = weft_region_open("frames", 6, 1 << 20);
//   weft_region_write(frames, 64, pixels, sizeof pixels);
//   weft_region_add32(frames, 0, 1, 0);                       // the word at offset 0: how many there are
//   weft_region_notify(frames, 0, UINT32_MAX);
//   …
//   uint32_t seen;
//   for (weft_region_load32(frames, 0, &seen); seen == last; weft_region_load32(frames, 0, &seen))
//     weft_region_wait32(frames, 0, last, -1);
//
// For guests, in C and C++; the program has to be run by Weft. All bytes of a new region are 0. Reads and writes of bytes may run at the same time as anything else, but
// are not one step. What is done to a word is one step, sequentially consistent; its offset is a multiple of its size.
//
// A region lives as long as somebody has it. Handles are closed when the process ends.
//
// Times and errors are as in weft/process.h: 0: done.  EAGAIN 6  EBADF 8  EINVAL 28  EMFILE 33  ENOSPC 51  ETIMEDOUT 73
// EBADF: no handle to a region. EINVAL: not inside of the region, or not aligned; nothing is done then. EDQUOT 19: the pool of fuel from which the process pays has none;
// making, opening, closing and asking for the size cost nothing.
#ifndef WEFT_REGION_H
#define WEFT_REGION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_REGION_IMPORT(name) __attribute__((__import_module__("weft_region"), __import_name__(name)))

// A handle to a new region of 1 byte to 1 GiB, for this process and whomever it gives it to.
//   -EINVAL  the size    -ENOSPC  this process or all together may not have so much more    -EMFILE  the process has 256 handles
WEFT_REGION_IMPORT("make")
int weft_region_make(uint64_t bytes);

// A handle to the region of that name (1 to 255 bytes), which is made if nobody has it. Again: the same handle. Errors as above, and
//   -EINVAL  others have it with another size; no name
WEFT_REGION_IMPORT("open")
int weft_region_open(const char* name, uint32_t name_size, uint64_t bytes);

WEFT_REGION_IMPORT("close")
int weft_region_close(int region);

// In bytes, or -EBADF.
WEFT_REGION_IMPORT("size")
int64_t weft_region_size(int region);

// Copies out of the region, and into it.
WEFT_REGION_IMPORT("read")
int weft_region_read(int region, uint64_t offset, void* to, uint32_t size);
WEFT_REGION_IMPORT("write")
int weft_region_write(int region, uint64_t offset, const void* from, uint32_t size);

// Words. What was there before goes to `before`; it may be null.
WEFT_REGION_IMPORT("load32")
int weft_region_load32(int region, uint64_t offset, uint32_t* value);
WEFT_REGION_IMPORT("store32")
int weft_region_store32(int region, uint64_t offset, uint32_t value);
WEFT_REGION_IMPORT("add32")
int weft_region_add32(int region, uint64_t offset, uint32_t value, uint32_t* before);
WEFT_REGION_IMPORT("and32")
int weft_region_and32(int region, uint64_t offset, uint32_t value, uint32_t* before);
WEFT_REGION_IMPORT("or32")
int weft_region_or32(int region, uint64_t offset, uint32_t value, uint32_t* before);
WEFT_REGION_IMPORT("xchg32")
int weft_region_xchg32(int region, uint64_t offset, uint32_t value, uint32_t* before);
// Stores `desired` if `expected` was there.
WEFT_REGION_IMPORT("cmpxchg32")
int weft_region_cmpxchg32(int region, uint64_t offset, uint32_t expected, uint32_t desired, uint32_t* before);
WEFT_REGION_IMPORT("load64")
int weft_region_load64(int region, uint64_t offset, uint64_t* value);
WEFT_REGION_IMPORT("store64")
int weft_region_store64(int region, uint64_t offset, uint64_t value);
WEFT_REGION_IMPORT("add64")
int weft_region_add64(int region, uint64_t offset, uint64_t value, uint64_t* before);
WEFT_REGION_IMPORT("and64")
int weft_region_and64(int region, uint64_t offset, uint64_t value, uint64_t* before);
WEFT_REGION_IMPORT("or64")
int weft_region_or64(int region, uint64_t offset, uint64_t value, uint64_t* before);
WEFT_REGION_IMPORT("xchg64")
int weft_region_xchg64(int region, uint64_t offset, uint64_t value, uint64_t* before);
WEFT_REGION_IMPORT("cmpxchg64")
int weft_region_cmpxchg64(int region, uint64_t offset, uint64_t expected, uint64_t desired, uint64_t* before);

// Parks as long as the word has the value, until it is notified. It may be over without cause: look again.
//   EAGAIN  the word has another value    ETIMEDOUT
WEFT_REGION_IMPORT("wait32")
int weft_region_wait32(int region, uint64_t offset, uint32_t expected, int64_t timeout_ns);
WEFT_REGION_IMPORT("wait64")
int weft_region_wait64(int region, uint64_t offset, uint64_t expected, int64_t timeout_ns);

// Wakes up to `count` of those that wait at the offset (a multiple of 4), the longest waiting first. How many, or -errno.
WEFT_REGION_IMPORT("notify")
int weft_region_notify(int region, uint64_t offset, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif  // WEFT_REGION_H
