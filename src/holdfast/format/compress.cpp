#include "holdfast/format/compress.hpp"

#include <fmt/core.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

namespace holdfast::format {
namespace {

constexpr std::size_t k_unpacked_size_max = std::size_t{1} << 30;
constexpr std::byte k_unpacked_compressed{0x02};
// Documents repeat themselves within a few hundred bytes, or are digits of hashes: a longer window makes them no smaller.
constexpr int k_document_window_log = 17;
// What is unpacked at once, and what may be left over from the piece before (JsonScan::k_ahead).
constexpr std::size_t k_piece = 64u << 10, k_rest_max = 128u << 10;

struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

std::unexpected<Error> damaged(std::string_view why) {
    return fail(ErrorCode::corrupt, fmt::format("compressed data is damaged: {}", why));
}

}    // namespace

struct Compressor::State {
    // A new context per call costs a factor 3.5 on small blobs.
    std::unique_ptr<ZSTD_CCtx, Free> context{ZSTD_createCCtx()};
};

Compressor::Compressor(int level) : state_(std::make_unique<State>()) {
    ZSTD_CCtx* context = state_->context.get();
    HF_ASSERT(context != nullptr);
    HF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel,
                                                   std::clamp(level, ZSTD_minCLevel(), ZSTD_maxCLevel()))));
    HF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1)));
    // The envelope's tag and the blob's hash already guard the content.
    HF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0)));
}
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;
Compressor::~Compressor() = default;

void Compressor::compress(ByteView plain, Bytes& to) {
    to.clear();
    to.resize(ZSTD_compressBound(plain.size()));
    const std::size_t size = ZSTD_compress2(state_->context.get(), to.data(), to.size(), plain.data(), plain.size());
    HF_ASSERT(!ZSTD_isError(size));    // cannot fail with a buffer of this size
    to.resize(size);
}

void Compressor::begin(std::size_t size, Bytes& to) {
    ZSTD_CCtx* context = state_->context.get();
    ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
    HF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, k_document_window_log)));
    HF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, size)));
    to.clear();
    to.reserve(size / 2 + size / 16);    // of hashes in hex
}

void Compressor::add(ByteView piece, Bytes& to) { stream(piece, false, to); }

void Compressor::end(Bytes& to) {
    stream({}, true, to);
    HF_ASSERT(!ZSTD_isError(ZSTD_CCtx_setParameter(state_->context.get(), ZSTD_c_windowLog, 0)));
}

void Compressor::stream(ByteView piece, bool last, Bytes& to) {
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    for (;;) {
        const std::size_t before = to.size();
        to.resize(before + ZSTD_CStreamOutSize());
        ZSTD_outBuffer out{to.data() + before, to.size() - before, 0};
        const std::size_t left =
            ZSTD_compressStream2(state_->context.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        HF_ASSERT(!ZSTD_isError(left));    // another size than was announced, which is a bug
        to.resize(before + out.pos);
        if (last ? left == 0 : in.pos == in.size) return;
    }
}

struct Decompressor::State {
    std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
};

Decompressor::Decompressor() : state_(std::make_unique<State>()) { HF_ASSERT(state_->context != nullptr); }
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;
Decompressor::~Decompressor() = default;

Status Decompressor::decompress(ByteView frames, std::size_t size, Bytes& to) {
    to.clear();
    if (!may_hold(frames.size(), size)) return damaged("it cannot hold as much as is claimed");
    to.resize(size);
    auto status = decompress_into(frames, to);
    if (!status) to.clear();
    return status;
}

bool Decompressor::may_hold(std::size_t frames_size, std::size_t size) {
    // The smallest block, one repeated byte, takes 4 bytes and gives at most 128 KiB.
    return size / (128 << 10) <= frames_size / 4 + 1;
}

Status Decompressor::decompress_into(ByteView frames, ByteSpan to) {
    if (frames.empty()) return damaged("it is empty");
    const std::size_t got =
        ZSTD_decompressDCtx(state_->context.get(), to.data(), to.size(), frames.data(), frames.size());
    if (ZSTD_isError(got)) return damaged(ZSTD_getErrorName(got));
    if (got != to.size()) return damaged(fmt::format("it holds {} bytes instead of {}", got, to.size()));
    return {};
}

Status Decompressor::decompress_unknown(ByteView frames, std::size_t size_max, Bytes& to) {
    to.clear();
    if (frames.empty()) return damaged("it is empty");
    HF_ASSERT(size_max < SIZE_MAX);
    ZSTD_DCtx* context = state_->context.get();
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    ZSTD_inBuffer in{frames.data(), frames.size(), 0};
    std::size_t produced = 0;
    // One byte more than allowed, so that too much is seen without a second buffer.
    const auto grow = [&] { to.resize(std::min(size_max + 1, std::max<std::size_t>(to.size() * 2, 64 << 10))); };
    // What the frame says about its size, if it can be true, spares growing; it is not believed.
    const unsigned long long said = ZSTD_getFrameContentSize(frames.data(), frames.size());
    if (said > 0 && said <= size_max && may_hold(frames.size(), said))
        to.resize(said);
    else
        grow();
    for (;;) {
        if (produced == to.size()) grow();
        ZSTD_outBuffer out{to.data() + produced, to.size() - produced, 0};
        const std::size_t left = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(left)) {
            to.clear();
            return damaged(ZSTD_getErrorName(left));
        }
        produced += out.pos;
        if (produced > size_max) {
            to.clear();
            return damaged(fmt::format("it holds more than {} bytes", size_max));
        }
        if (in.pos < in.size) continue;    // more of this frame, or the next frame
        if (left == 0) break;
        if (out.pos < out.size) {
            to.clear();
            return damaged("it ends inside a frame");
        }
    }
    to.resize(produced);
    return {};
}

FramePieces::FramePieces(Decompressor& decompressor, ByteView frames, std::size_t size)
    : FramePieces(decompressor, frames, [] { return ByteView(); }, size) {}

FramePieces::FramePieces(Decompressor& decompressor, ByteView first, Next next, std::size_t size)
    : decompressor_(decompressor), frames_(first), next_(std::move(next)), size_(size) {
    ZSTD_DCtx* context = decompressor_.state_->context.get();
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    HF_ASSERT(!ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, k_document_window_log)));
}

FramePieces::~FramePieces() {
    ZSTD_DCtx* context = decompressor_.state_->context.get();
    ZSTD_DCtx_reset(context, ZSTD_reset_session_and_parameters);
}

std::string_view FramePieces::more(std::string_view rest) {
    if (ended_ || failed_) return rest;
    if (window_.empty()) window_.resize(k_rest_max + k_piece);
    HF_ASSERT(rest.size() <= k_rest_max);
    if (!rest.empty()) std::memmove(window_.data(), rest.data(), rest.size());
    ZSTD_outBuffer out{window_.data(), window_.size(), rest.size()};
    while (out.pos < out.size && !ended_ && !failed_) {
        ZSTD_inBuffer in{frames_.data(), frames_.size(), 0};
        const std::size_t left = ZSTD_decompressStream(decompressor_.state_->context.get(), &out, &in);
        failed_ = ZSTD_isError(left) || produced_ + out.pos - rest.size() > size_;
        frames_ = frames_.subspan(in.pos);
        if (failed_ || !frames_.empty()) continue;
        // What it keeps back is asked for before more is read, which may be the end.
        if (left != 0 && out.pos == out.size) continue;
        frames_ = next_();
        if (!frames_.empty()) continue;
        ended_ = left == 0;
        failed_ = !ended_;    // it ends inside a frame
    }
    if (failed_) out.pos = rest.size();
    produced_ += out.pos - rest.size();
    sum_.update(ByteView(window_).subspan(rest.size(), out.pos - rest.size()));
    return as_text(ByteView(window_).first(out.pos));
}

std::optional<std::pair<ByteView, std::size_t>> unpacked_frames(ByteView plain) {
    if (plain.empty() || plain[0] != k_unpacked_compressed) return std::nullopt;
    const ByteView frames = plain.subspan(1);
    const unsigned long long said = ZSTD_getFrameContentSize(frames.data(), frames.size());
    if (said > k_unpacked_size_max || !Decompressor::may_hold(frames.size(), said)) return std::nullopt;
    return std::pair(frames, static_cast<std::size_t>(said));
}

Bytes encode_unpacked(std::string_view json, Compressor& compressor) {
    Bytes frame;
    compressor.begin(json.size(), frame);
    compressor.add(as_bytes(json), frame);
    compressor.end(frame);
    Bytes plain;
    plain.reserve(1 + frame.size());
    plain.push_back(k_unpacked_compressed);
    append(plain, frame);
    return plain;
}

Result<Bytes> decode_unpacked(ByteView plain, Decompressor& decompressor) {
    if (plain.empty()) return fail(ErrorCode::corrupt, "the file holds nothing");
    if (plain[0] == std::byte{'{'} || plain[0] == std::byte{'['}) return Bytes(plain.begin(), plain.end());
    if (plain[0] != k_unpacked_compressed)
        return fail(ErrorCode::corrupt,
                    fmt::format("the file's content starts with byte {:#04x}, which stands for no known form",
                                std::to_integer<unsigned>(plain[0])));
    Bytes json;
    HF_DO(decompressor.decompress_unknown(plain.subspan(1), k_unpacked_size_max, json));
    return json;
}

}    // namespace holdfast::format
