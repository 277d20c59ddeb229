// Runs a fuzz target without libFuzzer: first every corpus file, then seeded mutations of them.
//
//   parse_fuzz [--runs N] [--seed S] [corpus directory or file]…
//
// The seed is printed, so that a failing run can be repeated exactly; the input under test is written to
// <program>.crash before each call is made only when --keep is given, because that costs a file a run.
// Thread rules: single thread.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;
constexpr std::size_t kInputBytesMax = 4096;

Input read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
}

// One to four small edits: overwrite, insert, erase, or splice with another corpus entry.
Input mutate(Input input, const std::vector<Input>& corpus, std::mt19937_64& random) {
  const auto below = [&](std::size_t bound) { return bound == 0 ? 0 : static_cast<std::size_t>(random() % bound); };
  const auto byte = [&] { return static_cast<std::uint8_t>(random()); };
  for (std::size_t edit = 1 + below(4); edit > 0; --edit) {
    switch (below(4)) {
      case 0:
        if (!input.empty()) input[below(input.size())] = byte();
        break;
      case 1:
        if (input.size() < kInputBytesMax) {
          input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(input.size() + 1)), byte());
        }
        break;
      case 2:
        if (!input.empty()) input.erase(input.begin() + static_cast<std::ptrdiff_t>(below(input.size())));
        break;
      default: {
        const Input& other = corpus[below(corpus.size())];
        const std::size_t begin = below(other.size() + 1);
        const std::size_t count = std::min(below(other.size() - begin + 1), kInputBytesMax);
        const auto from = other.begin() + static_cast<std::ptrdiff_t>(begin);
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(input.size() + 1)), from,
                     from + static_cast<std::ptrdiff_t>(count));
        if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
      }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t runs = 10'000;
  std::uint64_t seed = 1;
  bool keep = false;
  std::vector<Input> corpus;
  for (int index = 1; index < argc; ++index) {
    const std::string_view word = argv[index];
    if (word == "--keep") {
      keep = true;
    } else if ((word == "--runs" || word == "--seed") && index + 1 < argc) {
      (word == "--runs" ? runs : seed) = std::strtoull(argv[++index], nullptr, 10);
    } else if (std::filesystem::is_directory(word)) {
      std::vector<std::filesystem::path> files;
      for (const auto& entry : std::filesystem::directory_iterator(word)) files.push_back(entry.path());
      std::sort(files.begin(), files.end());  // the same seed must mean the same run on every machine
      for (const auto& file : files) corpus.push_back(read_file(file));
    } else if (std::filesystem::is_regular_file(word)) {
      corpus.push_back(read_file(word));
    } else {
      std::cerr << "fuzz: " << word << " is neither a file nor a directory nor a known flag\n";
      return 2;
    }
  }
  std::cout << "fuzz: " << corpus.size() << " corpus entries, " << runs << " mutations, seed " << seed << std::endl;
  for (const Input& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());
  if (corpus.empty()) corpus.emplace_back();
  std::mt19937_64 random(seed);
  for (std::uint64_t run = 0; run < runs; ++run) {
    const Input input = mutate(corpus[random() % corpus.size()], corpus, random);
    if (keep) {
      std::ofstream stream(std::string{argv[0]} + ".crash", std::ios::binary);
      stream.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::cout << "fuzz: done" << std::endl;
  return 0;
}
