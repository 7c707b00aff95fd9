#include "holdfast/os/direct_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <deque>
#include <numeric>
#include <random>
#include <thread>

#include "holdfast/os/file.hpp"

namespace holdfast::os {
namespace {

struct Part {
    std::size_t from, size;
};

// Cut anywhere, in any order.
std::vector<Part> parts_of(std::size_t size, std::mt19937& random) {
    std::vector<Part> parts;
    for (std::size_t at = 0; at < size;) {
        const std::size_t piece =
            std::min(size - at, random() % 4 == 0 ? 1 + random() % 5000 : random() % (600u << 10) + 1);
        parts.push_back({at, piece});
        at += piece;
    }
    std::shuffle(parts.begin(), parts.end(), random);
    return parts;
}

class DirectFileTest : public ::testing::TestWithParam<bool> {};

// Parts of a file, from several threads, in and out of step with the file's blocks.
TEST_P(DirectFileTest, PartsInAnyOrderMakeTheFile) {
    const bool direct = GetParam();
    const TempFolder folder = *TempFolder::create("hf-direct-");
    const std::string path = folder.path() + "/file";
    constexpr std::size_t k_size = (24u << 20) + 777;
    std::mt19937 random(42);
    // At a block's beginning, as the file is.
    auto* const memory =
        static_cast<std::byte*>(::mmap(nullptr, k_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
    const ByteSpan content(memory, k_size);
    for (std::byte& byte : content) byte = static_cast<std::byte>(random());

    auto opened = open_file(path, O_RDWR | O_CREAT);
    ASSERT_TRUE(opened);
    DirectFile file(*std::move(opened));
    ASSERT_EQ(::ftruncate(file.get(), k_size), 0);
    if (direct) file.open_direct();
    std::atomic<std::size_t> held = 0;
    PartEnds ends(held);
    const std::vector<Part> parts = parts_of(k_size, random);
    std::atomic<std::size_t> next = 0, cached = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                for (std::size_t n = next++; n < parts.size(); n = next++) {
                    ByteView bytes = ByteView(content).subspan(parts[n].from, parts[n].size);
                    Bytes elsewhere;
                    if (n % 5 == 0) {
                        elsewhere.assign(bytes.begin(), bytes.end());
                        bytes = elsewhere;
                    }
                    const auto written = file.write(bytes, parts[n].from, &ends);
                    ASSERT_TRUE(written) << written.error().message;
                    cached += *written;
                }
            });
    }
    ASSERT_TRUE(ends.flush(file.get()));
    EXPECT_TRUE(std::ranges::equal(*read_file(path), content));
    if (direct && Fd(::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC)))
        EXPECT_LT(cached, k_size / 3);
    else
        EXPECT_EQ(cached, k_size);
    ::munmap(memory, k_size);
}
INSTANTIATE_TEST_SUITE_P(Both, DirectFileTest, ::testing::Bool(),
                         [](const auto& which) { return which.param ? "PastTheCache" : "ThroughIt"; });

TEST(DirectFileTest, AnErrorIsSaid) {
    const TempFolder folder = *TempFolder::create("hf-direct-");
    auto opened = open_file(folder.path() + "/file", O_RDWR | O_CREAT);
    ASSERT_TRUE(opened);
    // Not for writing: what a device refuses.
    DirectFile file(*open_file(folder.path() + "/file", O_RDONLY));
    std::atomic<std::size_t> held = 0;
    PartEnds ends(held);
    EXPECT_FALSE(file.write(Bytes(100u << 10), 0, &ends));
    ASSERT_TRUE(ends.add(file.get(), Bytes(10), 0));
    EXPECT_FALSE(ends.flush(file.get()));
}

TEST(DirectFileTest, TheEndsOfHoweverManyFilesTakeLittle) {
    const TempFolder folder = *TempFolder::create("hf-direct-");
    std::atomic<std::size_t> held = 0;
    std::vector<Fd> files;
    std::deque<PartEnds> ends;
    std::string content;
    for (int i = 0; i < 120; ++i) {
        files.push_back(*open_file(folder.path() + '/' + std::to_string(i), O_RDWR | O_CREAT));
        ends.emplace_back(held);
    }
    for (std::uint64_t part = 0; part < 12; ++part) {
        const Bytes bytes(4'000, static_cast<std::byte>('a' + part));
        content += as_text(bytes);
        for (std::size_t i = 0; i < files.size(); ++i)
            ASSERT_TRUE(ends[i].add(files[i].get(), bytes, part * bytes.size()));
        EXPECT_LE(held, (2u << 20) + 4'000);
    }
    EXPECT_GT(held, 1u << 20);
    for (std::size_t i = 0; i < files.size(); ++i) {
        ASSERT_TRUE(ends[i].flush(files[i].get()));
        EXPECT_EQ(*read_text(folder.path() + '/' + std::to_string(i)), content) << i;
    }
    EXPECT_EQ(held, 0u);
    ASSERT_TRUE(ends[0].add(files[0].get(), Bytes(10), 0));
    ends.clear();
    EXPECT_EQ(held, 0u);
}

}    // namespace
}    // namespace holdfast::os
