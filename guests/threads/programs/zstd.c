// zstd [-d] [-T<threads>] [-<level>]: standard input to standard output, as the program of that name does it, over the library's own
// thread pool. (The package has the library; the command line of zstd is not in it.)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static void check(size_t result, const char* what) {
  if (!ZSTD_isError(result)) return;
  fprintf(stderr, "zstd: %s: %s\n", what, ZSTD_getErrorName(result));
  exit(1);
}

static void put(const void* bytes, size_t count) {
  if (fwrite(bytes, 1, count, stdout) == count) return;
  perror("zstd: standard output");
  exit(1);
}

int main(int count, char** words) {
  int decompress = 0, threads = 1, level = 3;
  for (int i = 1; i < count; i++) {
    if (strcmp(words[i], "-d") == 0)
      decompress = 1;
    else if (strncmp(words[i], "-T", 2) == 0)
      threads = atoi(words[i] + 2);
    else if (words[i][0] == '-' && atoi(words[i] + 1) > 0)
      level = atoi(words[i] + 1);
    else {
      fprintf(stderr, "usage: zstd [-d] [-T<threads>] [-<level>] <input >output\n");
      return 2;
    }
  }
  size_t in_size = ZSTD_CStreamInSize(), out_size = ZSTD_CStreamOutSize();
  char *in = malloc(in_size), *out = malloc(out_size);
  size_t last = 0;
  if (decompress) {
    ZSTD_DCtx* context = ZSTD_createDCtx();
    for (size_t got; (got = fread(in, 1, in_size, stdin)) > 0;) {
      ZSTD_inBuffer input = {in, got, 0};
      while (input.pos < input.size) {
        ZSTD_outBuffer output = {out, out_size, 0};
        last = ZSTD_decompressStream(context, &output, &input);
        check(last, "decompress");
        put(out, output.pos);
      }
    }
    ZSTD_freeDCtx(context);
    if (last != 0) {
      fprintf(stderr, "zstd: the input is cut off\n");
      return 1;
    }
  } else {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level), "level");
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1), "checksum");
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_nbWorkers, threads), "threads");
    for (int end = 0; !end;) {
      size_t got = fread(in, 1, in_size, stdin);
      end = got < in_size;
      ZSTD_inBuffer input = {in, got, 0};
      do {
        ZSTD_outBuffer output = {out, out_size, 0};
        last = ZSTD_compressStream2(context, &output, &input, end ? ZSTD_e_end : ZSTD_e_continue);
        check(last, "compress");
        put(out, output.pos);
      } while (end ? last != 0 : input.pos < input.size);
    }
    ZSTD_freeCCtx(context);
  }
  free(in);
  free(out);
  if (fflush(stdout) != 0) {
    perror("zstd: standard output");
    return 1;
  }
  return 0;
}
