#include <fmt/core.h>

#include <optional>

#include "holdfast/format/documents.hpp"
#include "holdfast/format/go_json.hpp"
#include "holdfast/format/json_scan.hpp"

namespace holdfast::format {
namespace {

constexpr std::string_view type_name(BlobType type) { return type == BlobType::tree ? "tree" : "data"; }

Status check(const PackedBlob& blob, std::string_view what) {
    if (blob.length < k_envelope_overhead) return wrong_field({what, "length"}, "is too short for an envelope");
    if (!has_sane_length(blob)) return wrong_field({what, "length"}, "is longer than any blob");
    if (blob.offset > UINT32_MAX - blob.length) return wrong_field({what, "offset"}, "lies beyond 4 GiB");
    return {};
}

Status read_blob(simdjson::dom::element from, std::string_view what, PackedBlob& blob) {
    simdjson::dom::object object;
    if (from.get(object)) return wrong_field({what, "blobs"}, "holds something else than objects");
    bool has_id = false, has_type = false;
    for (const auto [key, value] : object) {
        const Place place{what, key};
        if (key == "id") {
            HF_DO(read(value, place, blob.id));
            has_id = !value.is_null();
        } else if (key == "type") {
            std::string_view name;
            if (value.get(name) || (name != "data" && name != "tree"))
                return wrong_field(place, "is neither 'data' nor 'tree'");
            blob.type = name == "tree" ? BlobType::tree : BlobType::data;
            has_type = true;
        } else if (key == "offset") {
            HF_DO(read(value, place, blob.offset));
        } else if (key == "length") {
            HF_DO(read(value, place, blob.length));
        } else if (key == "uncompressed_length") {
            HF_DO(read(value, place, blob.uncompressed_length));
        }
    }
    if (!has_id || !has_type) return wrong_field({what, "blobs"}, "holds a blob without ID or type");
    return check(blob, what);
}

Status read_pack(simdjson::dom::element from, std::string_view what, IndexPack& pack) {
    simdjson::dom::object object;
    if (from.get(object)) return wrong_field({what, "packs"}, "holds something else than objects");
    bool has_id = false;
    for (const auto [key, value] : object) {
        if (key == "id") {
            HF_DO(read(value, Place{what, key}, pack.id));
            has_id = !value.is_null();
        } else if (key == "blobs") {
            if (value.is_null()) continue;
            simdjson::dom::array array;
            if (value.get(array)) return wrong_field({what, key}, "is not a list");
            pack.blobs.clear();
            pack.blobs.reserve(array.size());
            for (const simdjson::dom::element item : array) HF_DO(read_blob(item, what, pack.blobs.emplace_back()));
        }
    }
    if (!has_id) return wrong_field({what, "packs"}, "holds a pack without ID");
    return {};
}

bool scan_blob(JsonScan& scan, PackedBlob& blob) {
    bool has_id = false, has_type = false;
    const bool read = scan.object([&](std::string_view key) {
        if (key == "id") return has_id = scan.id(blob.id);
        if (key == "type") {
            blob.type = scan.take("\"data\"") ? BlobType::data : BlobType::tree;
            return has_type = blob.type == BlobType::data || scan.take("\"tree\"");
        }
        if (key == "offset") return scan.number(blob.offset);
        if (key == "length") return scan.number(blob.length);
        return key == "uncompressed_length" && scan.number(blob.uncompressed_length);
    });
    return read && has_id && has_type && check(blob, "");
}

// Of a blob's entry: the list grows once at most.
constexpr std::size_t k_usual_length = 145;

bool scan_pack(JsonScan& scan, IndexPack& pack) {
    bool has_id = false;
    const bool read = scan.object([&](std::string_view key) {
        if (key == "id") return has_id = scan.id(pack.id);
        if (key != "blobs") return false;
        pack.blobs.clear();
        pack.blobs.reserve(scan.distance_to(']') / k_usual_length + 1);
        return scan.array([&] { return scan_blob(scan, pack.blobs.emplace_back()); });
    });
    return read && has_id;
}

bool scan_index(JsonScan scan, const EachIndexPack& each) {
    const auto one = [&] {
        IndexPack pack;
        if (!scan_pack(scan, pack)) return false;
        each(std::move(pack));
        return true;
    };
    return scan.take("{\"packs\":") && scan.array(one) && scan.take("}") && scan.done();
}

}    // namespace

std::string encode_index(const std::vector<IndexPack>& packs) {
    std::size_t blobs = 0;
    for (const IndexPack& pack : packs) blobs += pack.blobs.size();
    std::string json;
    json.reserve(32 + packs.size() * 96 + blobs * 160);
    json += R"({"packs":[)";
    for (const IndexPack& pack : packs) {
        if (&pack != &packs.front()) json += ',';
        json += R"({"id":)";
        append_id(json, pack.id);
        json += R"(,"blobs":[)";
        for (const PackedBlob& blob : pack.blobs) {
            if (&blob != &pack.blobs.front()) json += ',';
            json += R"({"id":)";
            append_id(json, blob.id);
            json.append(R"(,"type":")").append(type_name(blob.type)).append(R"(","offset":)");
            append_number(json, blob.offset);
            json += R"(,"length":)";
            append_number(json, blob.length);
            if (blob.uncompressed_length != 0) {
                json += R"(,"uncompressed_length":)";
                append_number(json, blob.uncompressed_length);
            }
            json += '}';
        }
        json += "]}";
    }
    json += "]}\n";
    return json;
}

bool scan_index(TextPieces& json, const EachIndexPack& each) { return scan_index(JsonScan(json), each); }

Result<std::vector<IndexPack>> decode_index(std::string_view json, std::string_view what) {
    std::vector<IndexPack> packs;
    if (scan_index(JsonScan(json), [&](IndexPack pack) { packs.push_back(std::move(pack)); })) return packs;
    packs.clear();
    HF_TRY(const simdjson::dom::object root, parse_object(json, what));
    bool has_packs = false;
    for (const auto [key, value] : root) {
        if (key != "packs") continue;
        has_packs = true;
        if (value.is_null()) continue;
        simdjson::dom::array array;
        if (value.get(array)) return wrong_field({what, key}, "is not a list");
        packs.clear();
        packs.reserve(array.size());
        for (const simdjson::dom::element item : array) HF_DO(read_pack(item, what, packs.emplace_back()));
    }
    // An object that is no index must not pass for an empty one.
    if (!has_packs) return fail(ErrorCode::corrupt, fmt::format("{}: the field 'packs' is missing", what));
    return packs;
}

}    // namespace holdfast::format
