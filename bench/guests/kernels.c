// Five programs that only compute, each a function without parameters that takes some tens of milliseconds and returns a number which
// depends on all that it did. For the benchmark of what checks for preemption cost; bench/peers.py compiles them.
//
//   fib      recursion: nothing but calls
//   sieve    a short inner loop that stores
//   matmul   a short inner loop that loads and computes
//   sha256   long loop bodies without branches
//   qsort    loops that end when the data say so, recursion, branches that are hard to foresee
//
// Compiled without a library.
#include <stdint.h>

#define KERNEL(name) __attribute__((export_name(#name))) uint32_t kernel_##name(void)

// --- fib

static __attribute__((noinline)) uint32_t fibonacci(uint32_t n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

KERNEL(fib) { return fibonacci(33); }

// --- sieve

enum { kSieveEnd = 1 << 20 };
static uint8_t composite[kSieveEnd];

KERNEL(sieve) {
  uint32_t primes = 0;
  for (int round = 0; round < 8; round++) {
    for (uint32_t i = 0; i < kSieveEnd; i++) composite[i] = 0;
    for (uint32_t i = 2; i < kSieveEnd; i++) {
      if (composite[i]) continue;
      primes++;
      for (uint32_t multiple = 2 * i; multiple < kSieveEnd; multiple += i) composite[multiple] = 1;
    }
  }
  return primes;
}

// --- matmul

enum { kSide = 160 };
static double left[kSide][kSide], right[kSide][kSide], product[kSide][kSide];

KERNEL(matmul) {
  for (int i = 0; i < kSide; i++) {
    for (int j = 0; j < kSide; j++) {
      left[i][j] = (i * j) % 7;
      right[i][j] = (i + j) % 5;
    }
  }
  double sum = 0;
  for (int round = 0; round < 12; round++) {
    for (int i = 0; i < kSide; i++) {
      for (int j = 0; j < kSide; j++) {
        double cell = 0;
        for (int k = 0; k < kSide; k++) cell += left[i][k] * right[k][j];
        product[i][j] = cell;
      }
    }
    sum += product[17 + round][33];
  }
  return (uint32_t)sum;
}

// --- sha256: the compression function of FIPS 180-4, on blocks that differ in their first word

static const uint32_t kRoundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotated(uint32_t x, int bits) { return (x >> bits) | (x << (32 - bits)); }

static void compress(uint32_t state[8], const uint32_t block[16]) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) w[i] = block[i];
  for (int i = 16; i < 64; i++) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (rotated(a, 7) ^ rotated(a, 18) ^ (a >> 3)) + w[i - 7] + (rotated(b, 17) ^ rotated(b, 19) ^ (b >> 10));
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (int i = 0; i < 64; i++) {
    const uint32_t t = h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + kRoundConstants[i] + w[i];
    const uint32_t u = (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t;
    d = c;
    c = b;
    b = a;
    a = t + u;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
  state[5] += f;
  state[6] += g;
  state[7] += h;
}

KERNEL(sha256) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint32_t block[16];
  for (uint32_t i = 0; i < 16; i++) block[i] = i;
  for (uint32_t i = 0; i < 80000; i++) {
    block[0] = i;
    compress(state, block);
  }
  return state[0];
}

// --- qsort

enum { kWords = 1 << 15, kShort = 16 };
static uint32_t words[kWords];

static void sort(uint32_t* from, int count) {
  while (count > kShort) {  // Hoare's partition
    const uint32_t pivot = from[count / 2];
    int i = 0, j = count - 1;
    for (;;) {
      while (from[i] < pivot) i++;
      while (from[j] > pivot) j--;
      if (i >= j) break;
      const uint32_t word = from[i];
      from[i++] = from[j];
      from[j--] = word;
    }
    sort(from, i);
    from += i;
    count -= i;
  }
  for (int i = 1; i < count; i++) {
    const uint32_t word = from[i];
    int j = i;
    for (; j > 0 && from[j - 1] > word; j--) from[j] = from[j - 1];
    from[j] = word;
  }
}

KERNEL(qsort) {
  uint32_t random = 12345, result = 0;
  for (int round = 0; round < 12; round++) {
    for (int i = 0; i < kWords; i++) {
      random = random * 1664525 + 1013904223;
      words[i] = random >> 4;
    }
    sort(words, kWords);
    for (int i = 1; i < kWords; i++) {
      if (words[i] < words[i - 1]) __builtin_trap();
    }
    result ^= words[1000];
  }
  return result;
}
