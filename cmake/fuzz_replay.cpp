// Runs a fuzz target without libFuzzer: every file of a corpus folder, and of each a few hundred damaged versions (flipped
// bits, cuts, repeats, from a fixed seed). So each normal build, and each sanitizer build, exercises every parser.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void feed(const std::string& input) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string damaged(std::string input, std::mt19937_64& random) {
    const int edits = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < edits && !input.empty(); ++i) {
        const std::size_t at = random() % input.size();
        switch (random() % 5) {
            case 0:
                input[at] = static_cast<char>(input[at] ^ (1 << random() % 8));
                break;
            case 1:
                input[at] = static_cast<char>(random());
                break;
            case 2:
                input.resize(at);
                break;
            case 3:
                input.erase(at, 1 + random() % 16);
                break;
            default:
                input.insert(at, input.substr(random() % input.size(), 1 + random() % 16));
        }
    }
    return input;
}

}    // namespace

int main(int argc, char** argv) {
    std::mt19937_64 random(20261120);
    feed("");
    std::size_t files = 0;
    for (int i = 1; i < argc; ++i)
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            std::ifstream file(entry.path(), std::ios::binary);
            const std::string content((std::istreambuf_iterator<char>(file)), {});
            feed(content);
            const int rounds = content.size() > 100'000 ? 20 : 500;
            for (int round = 0; round < rounds; ++round) feed(damaged(content, random));
            ++files;
        }
    std::printf("%zu corpus files\n", files);
    return files == 0 ? 1 : 0;
}
