#include <cstdint>
#include <cstdlib>

#include "holdfast/source/tar_reader.hpp"

namespace {

using namespace holdfast;

// What comes out keeps what the header promises, and never leads out of a folder.
class Checker final : public source::TarSink {
public:
    Status begin(const source::TarEntry& entry) override {
        if (open_ || !source::is_inner_path(entry.name)) std::abort();
        open_ = entry.kind == source::TarEntry::Kind::file;
        left_ = entry.size;
        ++entries;
        return {};
    }
    Status data(ByteView bytes) override {
        if (!open_ || bytes.empty() || bytes.size() > left_) std::abort();
        left_ -= bytes.size();
        return {};
    }
    Status end() override {
        if (!open_ || left_ != 0) std::abort();
        open_ = false;
        return {};
    }
    std::size_t entries = 0;

private:
    bool open_ = false;
    std::uint64_t left_ = 0;
};

}    // namespace

// Whole and in pieces it must be read alike.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView all(reinterpret_cast<const std::byte*>(data), size);
    Checker whole, pieces;
    source::TarReader first("fuzz"), second("fuzz");
    const bool good = first.feed(all, whole).has_value();
    bool also = true;
    for (std::size_t at = 0; at < size && also; at += 77)
        also = second.feed(all.subspan(at, std::min<std::size_t>(77, size - at)), pieces).has_value();
    if (good != also || whole.entries != pieces.entries) std::abort();
    if (good && first.finish().has_value() != second.finish().has_value()) std::abort();
    return 0;
}
