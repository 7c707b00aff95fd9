#include "holdfast/plain/gzip.hpp"

#include <isa-l/igzip_lib.h>

#include <array>
#include <limits>

namespace holdfast::plain {
namespace {

constexpr std::size_t k_buffer = 128 << 10;

std::uint8_t* raw(std::byte* bytes) { return reinterpret_cast<std::uint8_t*>(bytes); }

}    // namespace

struct Gzip::State {
    std::function<Status(ByteView)> sink;
    isal_zstream stream;
    std::array<std::uint8_t, ISAL_DEF_LVL2_DEFAULT> level;
    std::array<std::byte, k_buffer> out;
};

Gzip::Gzip(std::function<Status(ByteView)> sink) : state_(std::make_unique<State>()) {
    state_->sink = std::move(sink);
    isal_deflate_init(&state_->stream);
    state_->stream.level = 2;
    state_->stream.level_buf = state_->level.data();
    state_->stream.level_buf_size = state_->level.size();
    state_->stream.gzip_flag = IGZIP_GZIP;
}
Gzip::~Gzip() = default;

Status Gzip::push(ByteView bytes, bool last) {
    isal_zstream& stream = state_->stream;
    HF_ASSERT(bytes.size() <= std::numeric_limits<std::uint32_t>::max());
    stream.next_in = raw(const_cast<std::byte*>(bytes.data()));    // only read
    stream.avail_in = static_cast<std::uint32_t>(bytes.size());
    stream.end_of_stream = last;
    do {
        stream.next_out = raw(state_->out.data());
        stream.avail_out = k_buffer;
        if (const int error = isal_deflate(&stream); error != COMP_OK)
            return fail(ErrorCode::internal, "cannot compress (" + std::to_string(error) + ")");
        const std::size_t made = k_buffer - stream.avail_out;
        if (made > 0) HF_DO(state_->sink(ByteView(state_->out).first(made)));
    } while (stream.avail_in > 0 || stream.avail_out == 0 || (last && stream.internal_state.state != ZSTATE_END));
    return {};
}

Status Gzip::write(ByteView bytes) {
    constexpr std::size_t k_piece = std::size_t(1) << 30;
    for (; bytes.size() > k_piece; bytes = bytes.subspan(k_piece)) HF_DO(push(bytes.first(k_piece), false));
    return bytes.empty() ? Status() : push(bytes, false);
}

Status Gzip::finish() { return push({}, true); }

struct Gunzip::State {
    ByteSource source;
    inflate_state inflate;
    std::array<std::byte, k_buffer> in;
    bool source_ended = false, between = true, any = false;

    // true: at least one byte of input is there.
    Result<bool> refill() {
        if (inflate.avail_in > 0) return true;
        if (source_ended) return false;
        HF_TRY(const std::size_t got, source(in));
        source_ended = got == 0;
        inflate.next_in = raw(in.data());
        inflate.avail_in = static_cast<std::uint32_t>(got);
        return got > 0;
    }
};

Gunzip::Gunzip(ByteSource source) : state_(std::make_unique<State>()) {
    state_->source = std::move(source);
    isal_inflate_init(&state_->inflate);
    state_->inflate.avail_in = 0;
}
Gunzip::~Gunzip() = default;

Result<std::size_t> Gunzip::read(ByteSpan to) {
    inflate_state& inflate = state_->inflate;
    to = to.first(std::min<std::size_t>(to.size(), std::size_t(1) << 30));
    if (to.empty()) return std::size_t(0);
    for (;;) {
        if (state_->between) {
            HF_TRY(const bool more, state_->refill());
            if (!more && state_->any) return std::size_t(0);
            if (!more) return fail(ErrorCode::corrupt, "an empty file, not gzip");
            if (inflate.next_in[0] != 31)
                return fail(ErrorCode::corrupt,
                            state_->any ? "something stands behind the end of the gzip stream" : "not gzip");
            auto* const next_in = inflate.next_in;
            const auto avail_in = inflate.avail_in;
            isal_inflate_reset(&inflate);
            inflate.next_in = next_in;
            inflate.avail_in = avail_in;
            inflate.crc_flag = ISAL_GZIP;
            state_->between = false;
            state_->any = true;
        }
        inflate.next_out = raw(to.data());
        inflate.avail_out = static_cast<std::uint32_t>(to.size());
        HF_TRY(const bool more, state_->refill());
        const auto before = inflate.avail_in;
        const int result = isal_inflate(&inflate);
        if (result == ISAL_INCORRECT_CHECKSUM)
            return fail(ErrorCode::corrupt, "the gzip checksum does not fit the content");
        if (result < 0) return fail(ErrorCode::corrupt, "damaged gzip data (" + std::to_string(result) + ")");
        const std::size_t made = to.size() - inflate.avail_out;
        if (inflate.block_state == ISAL_BLOCK_FINISH) state_->between = true;
        if (made > 0) return made;
        if (!state_->between && !more && before == inflate.avail_in)
            return fail(ErrorCode::corrupt, "the file ends inside the gzip stream");
    }
}

}    // namespace holdfast::plain
