#include "holdfast/format/compress.hpp"

#include <gtest/gtest.h>
#include <zstd.h>

namespace holdfast::format {
namespace {

std::string sample(std::size_t size) {
    std::string text;
    while (text.size() < size)
        text += "{\"symbol\":\"NIFTY\",\"price\":" + std::to_string(text.size() * 7919 % 100000) + "}\n";
    text.resize(size);
    return text;
}

Bytes frame_of(std::string_view text, int level = 3, bool checksum = false, bool content_size = true,
               int window_log = 0) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, content_size);
    if (window_log) ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    Bytes frame;
    frame.resize(ZSTD_compressBound(text.size()));
    frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), text.data(), text.size()));
    ZSTD_freeCCtx(context);
    return frame;
}

TEST(Compressor, WritesOneFrameWithContentSizeAndWithoutChecksum) {
    Compressor compressor(1);
    Bytes frame = to_bytes("what was there before");
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{300'000}}) {
        const std::string text = sample(size);
        compressor.compress(as_bytes(text), frame);
        EXPECT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), size);
        EXPECT_EQ(ZSTD_findFrameCompressedSize(frame.data(), frame.size()), frame.size());
        EXPECT_EQ(std::to_integer<int>(frame[4]) & 4, 0);
        Bytes back;
        ASSERT_TRUE(Decompressor().decompress(frame, size, back));
        EXPECT_EQ(as_text(back), text);
    }
}

TEST(Compressor, KeepsTheWindowSmallForSmallBlobs) {
    // A reader must take memory for the window: a small blob's window is its own size (single segment).
    Compressor compressor(19);
    Bytes frame;
    compressor.compress(as_bytes(sample(1000)), frame);
    EXPECT_NE(std::to_integer<int>(frame[4]) & 0x20, 0);
}

// As a scan does: it uses some of what it has, and asks for more.
std::string all_of(FramePieces& pieces, std::size_t rest_max) {
    std::string all, rest;
    for (std::size_t step = 0;; ++step) {
        const std::string_view text = pieces.more(rest);
        if (text.size() == rest.size()) return all + rest;
        EXPECT_EQ(text.substr(0, rest.size()), rest);
        const std::size_t kept = std::min(text.size(), step * 7919 % (rest_max + 1));
        all += text.substr(0, text.size() - kept);
        rest = text.substr(text.size() - kept);
    }
}

TEST(FramePieces, GiveBackWhatWasCompressedInPieces) {
    Compressor compressor(3);
    Decompressor decompressor;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{131'072}, std::size_t{131'073}, std::size_t{5'000'000}}) {
        const std::string text = sample(size);
        Bytes frame;
        compressor.begin(size, frame);
        for (std::size_t at = 0; at < size; at += 70'001)
            compressor.add(as_bytes(std::string_view(text).substr(at, 70'001)), frame);
        compressor.end(frame);
        EXPECT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), size);
        FramePieces pieces(decompressor, frame, size);
        EXPECT_EQ(pieces.left(), size);
        EXPECT_EQ(all_of(pieces, 100'000), text);
        EXPECT_TRUE(pieces.whole());
        EXPECT_EQ(pieces.left(), 0u);
        EXPECT_EQ(pieces.sum(), sha256(as_bytes(text)));
        Bytes back;
        ASSERT_TRUE(decompressor.decompress(frame, size, back));
        EXPECT_EQ(as_text(back), text);
    }
    // The same compressor and decompressor go on as ever.
    const std::string text = sample(3'000'000);
    Bytes frame, back;
    compressor.compress(as_bytes(text), frame);
    EXPECT_EQ(frame, frame_of(text));
    ASSERT_TRUE(decompressor.decompress(frame, text.size(), back));
}

TEST(FramePieces, TheFramesThemselvesMayComeInPieces) {
    const std::string text = sample(1'000'000);
    Bytes frames = frame_of(text.substr(0, 100'000));
    append(frames, frame_of(text.substr(100'000), 3, false, true, 17));
    Decompressor decompressor;
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, frames.size() - 1}) {
        for (const std::size_t lacking : {std::size_t{0}, std::size_t{1}}) {
            const ByteView there = ByteView(frames).first(frames.size() - lacking);
            std::size_t at = 0;
            Bytes piece;    // each goes when the next comes
            const auto next = [&] {
                const ByteView some = there.subspan(at, std::min(step, there.size() - at));
                piece = Bytes(some.begin(), some.end());
                at += some.size();
                return ByteView(piece);
            };
            const ByteView first = next();
            FramePieces pieces(decompressor, first, next, text.size());
            EXPECT_EQ(all_of(pieces, 100'000) == text, lacking == 0) << step;
            EXPECT_EQ(pieces.whole(), lacking == 0) << step;
        }
    }
}

TEST(FramePieces, NothingCountsOfWhatIsDamagedOrNotWhatWasSaid) {
    const std::string text = sample(1'000'000);
    Compressor compressor(3);
    Bytes good;
    compressor.begin(text.size(), good);
    compressor.add(as_bytes(text), good);
    compressor.end(good);
    Decompressor decompressor;
    const auto is_whole = [&](ByteView frames, std::size_t size) {
        FramePieces pieces(decompressor, frames, size);
        const std::string got = all_of(pieces, 100'000);
        return pieces.whole() && pieces.sum() == sha256(as_bytes(text));
    };
    EXPECT_TRUE(is_whole(good, text.size()));
    EXPECT_FALSE(is_whole(good, text.size() - 1));
    EXPECT_FALSE(is_whole(good, text.size() + 1));
    EXPECT_FALSE(is_whole({}, text.size()));
    EXPECT_FALSE(is_whole(ByteView(good).first(good.size() - 1), text.size()));
    EXPECT_FALSE(is_whole(ByteView(good).first(good.size() / 2), text.size()));
    EXPECT_FALSE(is_whole(frame_of(text, 19, false, true, 27), text.size())) << "its window would take the memory";
    for (std::size_t at = 0; at < good.size(); at += 97) {
        Bytes bad = good;
        bad[at] ^= std::byte(0x20);
        EXPECT_FALSE(is_whole(bad, text.size())) << at;
    }
    Bytes two = frame_of(text.substr(0, 100'000));
    append(two, frame_of(text.substr(100'000), 3, false, true, 17));
    EXPECT_TRUE(is_whole(two, text.size()));
}

TEST(Decompressor, ReadsWhatOtherWritersMake) {
    const std::string text = sample(200'000);
    Decompressor decompressor;
    Bytes two_frames = frame_of(text.substr(0, 70'000));
    append(two_frames, frame_of(text.substr(70'000)));
    for (const Bytes& frames :
         {frame_of(text, 3, true), frame_of(text, 3, true, false), frame_of(text, 19, false, true, 27), two_frames}) {
        Bytes back;
        ASSERT_TRUE(decompressor.decompress(frames, text.size(), back));
        EXPECT_EQ(as_text(back), text);
        ASSERT_TRUE(decompressor.decompress_unknown(frames, text.size(), back));
        EXPECT_EQ(as_text(back), text);
    }
}

TEST(Decompressor, RefusesAnyOtherSizeThanTheIndexSays) {
    Decompressor decompressor;
    const Bytes frame = frame_of(sample(1000));
    Bytes back;
    for (const std::size_t size : {std::size_t{0}, std::size_t{999}, std::size_t{1001}, std::size_t{100'000}}) {
        const Status done = decompressor.decompress(frame, size, back);
        ASSERT_FALSE(done) << size;
        EXPECT_EQ(done.error().code, ErrorCode::corrupt);
        EXPECT_TRUE(back.empty());
    }
}

TEST(Decompressor, RefusesASizeThatNoFrameOfThatLengthCanHoldBeforeTakingMemory) {
    Bytes back;
    const Bytes frame = frame_of("x");
    EXPECT_FALSE(Decompressor().decompress(frame, SIZE_MAX / 2, back));
    EXPECT_LT(back.capacity(), 1u << 20);
    // The densest honest frame passes that guard.
    const std::string zeros(8 << 20, '\0');
    EXPECT_TRUE(Decompressor().decompress(frame_of(zeros, 19), zeros.size(), back));
}

TEST(Decompressor, StopsABombAtTheLimit) {
    const std::string zeros(5'000'000, '\0');
    for (const bool content_size : {true, false}) {
        const Bytes bomb = frame_of(zeros, 3, false, content_size);
        ASSERT_LT(bomb.size(), 2000u);
        Bytes back;
        const Status done = Decompressor().decompress_unknown(bomb, 1'000'000, back);
        ASSERT_FALSE(done);
        EXPECT_EQ(done.error().code, ErrorCode::corrupt);
        EXPECT_LE(back.capacity(), 2'000'000u);
        EXPECT_TRUE(Decompressor().decompress_unknown(bomb, zeros.size(), back));
        EXPECT_FALSE(Decompressor().decompress_unknown(bomb, zeros.size() - 1, back));
    }
}

TEST(Decompressor, RefusesAnEndInsideAFrameAndGarbageBehindOneAndWorksOn) {
    const std::string text = sample(5000);
    const Bytes frame = frame_of(text);
    Decompressor decompressor;
    Bytes back;
    for (std::size_t size = 0; size < frame.size(); ++size) {
        EXPECT_FALSE(decompressor.decompress(ByteView(frame).first(size), text.size(), back)) << size;
        EXPECT_FALSE(decompressor.decompress_unknown(ByteView(frame).first(size), 1 << 20, back)) << size;
    }
    Bytes trailing = frame;
    append(trailing, as_bytes("garbage"));
    EXPECT_FALSE(decompressor.decompress(trailing, text.size(), back));
    EXPECT_FALSE(decompressor.decompress_unknown(trailing, 1 << 20, back));
    ASSERT_TRUE(decompressor.decompress_unknown(frame, 1 << 20, back));
    EXPECT_EQ(as_text(back), text);
}

TEST(UnpackedFile, RoundTripsAndAcceptsBareJson) {
    Compressor compressor(1);
    Decompressor decompressor;
    const std::string json = "{\"packs\":[]}\n";
    const Bytes plain = encode_unpacked(json, compressor);
    ASSERT_EQ(plain[0], std::byte{2});
    EXPECT_EQ(as_text(*decode_unpacked(plain, decompressor)), json);
    EXPECT_EQ(as_text(*decode_unpacked(as_bytes(json), decompressor)), json);
    EXPECT_EQ(as_text(*decode_unpacked(as_bytes("[]"), decompressor)), "[]");
}

TEST(UnpackedFile, RefusesEveryOtherFirstByteAndAnEmptyFile) {
    Decompressor decompressor;
    EXPECT_EQ(decode_unpacked({}, decompressor).error().code, ErrorCode::corrupt);
    for (int first = 0; first < 256; ++first) {
        if (first == '{' || first == '[') continue;
        const std::string text = std::string(1, static_cast<char>(first)) + "{}";
        const auto decoded = decode_unpacked(as_bytes(text), decompressor);
        ASSERT_FALSE(decoded) << first;
        EXPECT_EQ(decoded.error().code, ErrorCode::corrupt);
    }
}

}    // namespace
}    // namespace holdfast::format
