#include "holdfast/storage/s3.hpp"

#include <fmt/core.h>

#include <atomic>
#include <charconv>
#include <map>

#include "holdfast/base/log.hpp"
#include "holdfast/storage/aws_credentials.hpp"
#include "holdfast/storage/digest.hpp"
#include "holdfast/storage/object_list.hpp"
#include "holdfast/storage/object_names.hpp"
#include "holdfast/storage/spool.hpp"
#include "holdfast/storage/xml.hpp"

namespace holdfast::storage {
namespace {

constexpr std::size_t k_deletes_max = 1000;    // in one request; the servers' own limit

class S3Backend final : public Backend {
public:
    S3Backend(S3Location location, S3Settings settings)
        : client_(std::move(location), std::move(settings.credentials), std::move(settings.http),
                  std::move(settings.now)),
          multipart_above_(settings.multipart_above),
          part_size_(settings.part_size),
          list_page_(settings.list_page) {}

    Status create_layout() override;
    Result<std::unique_ptr<Upload>> start(FileKind kind) override;
    Status put(const FileName& name, ByteView bytes) override {
        MemoryBody body(bytes);
        return store(name, body);
    }
    Result<Bytes> read(const FileName& name) override {
        HF_TRY(HttpResponse answer,
               client_.send({.key = key_of(name), .what = say("reading", name), .body_max = read_size_max(name.kind)}));
        return std::move(answer.body);
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override;
    Result<std::uint64_t> size(const FileName& name) override {
        HF_TRY(const HttpResponse answer,
               client_.send({.method = "HEAD", .key = key_of(name), .what = say("looking at", name)}));
        return content_length(answer, say("looking at", name));
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override;
    Status remove(const FileName& name) override {
        HF_DO(size(name));
        HF_DO(client_.send({.method = "DELETE", .key = key_of(name), .what = say("removing", name)}));
        return {};
    }
    Status remove_many(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) override;
    std::size_t removes_at_once() const override { return k_deletes_max; }
    Status sync() override { return {}; }
    bool lists_at_once() const override { return client_.location().is_aws(); }
    unsigned connections() const override { return client_.location().connections; }
    std::string location() const override {
        const S3Location& at = client_.location();
        return fmt::format("s3:{}://{}/{}/{}", at.scheme, at.authority, at.bucket,
                           at.prefix.substr(0, at.prefix.empty() ? 0 : at.prefix.size() - 1));
    }
    Status store(const FileName& name, HttpBody& body);

private:
    std::string key_of(const FileName& name) const { return client_.location().prefix + relative_path(name); }
    std::string say(const char* doing, const FileName& name) const {
        return fmt::format("{}: {} {}", location(), doing, relative_path(name));
    }
    std::vector<HttpHeader> upload_headers(const FileName& name) const;
    Status store_at_once(const FileName& name, HttpBody& body, std::vector<HttpHeader> headers);
    Status store_config(HttpBody& body);
    Status store_in_parts(const FileName& name, HttpBody& body);
    Status send_parts(const FileName& name, HttpBody& body, const std::string& upload);
    Status check_encryption(const FileName& name);
    Status remove_at_once(std::span<const FileName> names, const std::function<void(const FileName&)>& gone);
    Status remove_one_by_one(std::span<const FileName> names, const std::function<void(const FileName&)>& gone);

    S3Client client_;
    const std::uint64_t multipart_above_, part_size_, list_page_;
    std::atomic<bool> conditions_ = true;    // until the server says that it does not know If-None-Match
    std::atomic<bool> encryption_checked_ = false;
    std::atomic<bool> many_deletes_ = true;    // until the server says that it does not know DeleteObjects
};

class S3Upload final : public Upload {
public:
    S3Upload(S3Backend& backend, FileKind kind, Spool spool)
        : backend_(backend), kind_(kind), spool_(std::move(spool)) {}
    Status write(ByteView bytes) override { return spool_.write(bytes); }
    Status commit(const Id& id) override { return backend_.store({kind_, id}, spool_); }

private:
    S3Backend& backend_;
    const FileKind kind_;
    Spool spool_;
};

Result<std::unique_ptr<Upload>> S3Backend::start(FileKind kind) {
    HF_TRY(Spool spool, Spool::create());
    return std::make_unique<S3Upload>(*this, kind, std::move(spool));
}

Status S3Backend::create_layout() {
    const S3Location& at = client_.location();
    const std::string what = fmt::format("{}: looking for the bucket {}", location(), at.bucket);
    const auto there = client_.send({.method = "HEAD", .what = what});
    // Denied: keys that may write but not look at the bucket as a whole are common and enough.
    if (there || there.error().code == ErrorCode::denied) return {};
    if (there.error().code != ErrorCode::not_found) return fail(there.error());
    std::string text;
    if (client_.region() != "us-east-1")
        text = fmt::format(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            xml_escaped(client_.region()));
    MemoryBody body(as_bytes(text));
    auto made = client_.send({.method = "PUT",
                              .body = text.empty() ? nullptr : &body,
                              .what = fmt::format("{}: making the bucket {}", location(), at.bucket)});
    // Somebody may have made it since; one that belongs to others shows at the first upload.
    if (made || made.error().code == ErrorCode::exists) return {};
    return fail(std::move(made).error());
}

std::vector<HttpHeader> S3Backend::upload_headers(const FileName& name) const {
    const S3Location& at = client_.location();
    std::vector<HttpHeader> headers = {{"Content-Type", "application/octet-stream"}};
    // Everything else is read at every start: a class that is slow or costly to read is for packs alone.
    if (name.kind == FileKind::pack && !at.storage_class.empty())
        headers.push_back({"x-amz-storage-class", at.storage_class});
    if (!at.sse.empty()) headers.push_back({"x-amz-server-side-encryption", at.sse});
    if (!at.sse_key.empty()) headers.push_back({"x-amz-server-side-encryption-aws-kms-key-id", at.sse_key});
    return headers;
}

Status S3Backend::store(const FileName& name, HttpBody& body) {
    if (name.kind == FileKind::config) {
        HF_DO(store_config(body));
    } else if (body.size() > multipart_above_) {
        HF_DO(store_in_parts(name, body));
    } else {
        HF_DO(store_at_once(name, body, upload_headers(name)));
    }
    return check_encryption(name);
}

Status S3Backend::store_at_once(const FileName& name, HttpBody& body, std::vector<HttpHeader> headers) {
    S3Request request{.method = "PUT",
                      .key = key_of(name),
                      .headers = std::move(headers),
                      .body = &body,
                      .what = say("writing", name)};
    // The name is the hash: a file that is not what its name says is refused by the server.
    if (name.kind != FileKind::config) request.payload_sha256 = name.id.hex();
    auto answer = client_.send(request);
    if (answer) return {};
    Error error = std::move(answer).error();
    if (error.code == ErrorCode::unsupported && !client_.location().sse.empty())
        error.hint =
            "this server does not encrypt for us (s3.sse): leave the option away; the repository is encrypted anyway";
    return fail(std::move(error));
}

Status S3Backend::store_config(HttpBody& body) {
    const FileName name{FileKind::config, {}};
    const auto exists = [&] {
        return fail(ErrorCode::exists, fmt::format("{} has a config already", location()),
                    "use the repository as it is, or name another place");
    };
    if (conditions_) {
        std::vector<HttpHeader> headers = upload_headers(name);
        headers.push_back({"If-None-Match", "*"});
        auto status = store_at_once(name, body, std::move(headers));
        if (!status && status.error().code == ErrorCode::exists) return exists();
        if (status || status.error().code != ErrorCode::unsupported) return status;
        conditions_ = false;
    }
    if (const auto there = size(name))
        return exists();
    else if (there.error().code != ErrorCode::not_found)
        return fail(there.error());
    HF_DO(store_at_once(name, body, upload_headers(name)));
    // Two that came at once: the last one wins, and the other hears of it.
    Bytes ours(body.size());
    HF_DO(body.read(0, ours));
    HF_TRY(const Bytes stored, read(name));
    if (!std::equal(ours.begin(), ours.end(), stored.begin(), stored.end())) return exists();
    return {};
}

Status S3Backend::store_in_parts(const FileName& name, HttpBody& body) {
    const std::string key = key_of(name);
    HF_TRY(const HttpResponse begun, client_.send({.method = "POST",
                                                   .key = key,
                                                   .query = {{"uploads", ""}},
                                                   .headers = upload_headers(name),
                                                   .what = say("beginning to write", name)}));
    HF_TRY(const XmlElement answer, parse_xml(as_text(begun.body)));
    const std::string upload(answer.text_of("UploadId"));
    if (upload.empty())
        return fail(ErrorCode::store, say("writing", name) + ": the server gave no number for an upload in parts");
    auto status = send_parts(name, body, upload);
    if (!status) {
        const auto aborted = client_.send(
            {.method = "DELETE", .key = key, .query = {{"uploadId", upload}}, .what = say("giving up writing", name)});
        if (!aborted && aborted.error().code != ErrorCode::not_found)
            log_warning("parts of a file that was not finished stay in the bucket",
                        {{"file", key},
                         {"error", aborted.error().message},
                         {"remedy", "a lifecycle rule that aborts incomplete multipart uploads removes them"}});
    }
    return status;
}

Status S3Backend::send_parts(const FileName& name, HttpBody& body, const std::string& upload) {
    const std::string key = key_of(name);
    // At most 10,000 parts.
    const std::uint64_t part_size = std::max(part_size_, body.size() / 9'999 + 1);
    std::string list = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    unsigned number = 0;
    for (std::uint64_t offset = 0; offset < body.size(); offset += part_size) {
        PartOfBody part(body, offset, std::min(part_size, body.size() - offset));
        ++number;
        HF_TRY(const HttpResponse answer,
               client_.send({.method = "PUT",
                             .key = key,
                             .query = {{"partNumber", std::to_string(number)}, {"uploadId", upload}},
                             .body = &part,
                             .what = fmt::format("{}, part {}", say("writing", name), number)}));
        const auto etag = answer.header("ETag");
        if (!etag) return fail(ErrorCode::store, say("writing", name) + ": the server gave no ETag for a part");
        list += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", number, xml_escaped(*etag));
    }
    list += "</CompleteMultipartUpload>";
    MemoryBody list_body(as_bytes(list));
    HF_TRY(const HttpResponse answer, client_.send({.method = "POST",
                                                    .key = key,
                                                    .query = {{"uploadId", upload}},
                                                    .headers = {{"Content-Type", "application/xml"}},
                                                    .body = &list_body,
                                                    .what = say("finishing to write", name)}));
    // 200 is sent before the work is done: the outcome stands in the body.
    const auto outcome = parse_xml(as_text(answer.body));
    if (outcome && outcome->name == "Error")
        return fail(ErrorCode::unreachable, fmt::format("{}: the server answered {}", say("finishing to write", name),
                                                        outcome->text_of("Code")));
    HF_TRY(const std::uint64_t stored, size(name));
    if (stored != body.size())
        return fail(ErrorCode::unreachable,
                    fmt::format("{}: {} bytes were sent, {} are there", say("writing", name), body.size(), stored));
    return {};
}

Status S3Backend::check_encryption(const FileName& name) {
    const std::string& wanted = client_.location().sse;
    if (wanted.empty() || encryption_checked_.exchange(true)) return {};
    auto answer = client_.send({.method = "HEAD", .key = key_of(name), .what = say("looking at", name)});
    if (!answer) {
        encryption_checked_ = false;
        return fail(std::move(answer).error());
    }
    const auto found = answer->header("x-amz-server-side-encryption");
    if (found == wanted) return {};
    log_warning("the server did not encrypt what it was asked to (the repository itself is encrypted all the same)",
                {{"storage", location()},
                 {"asked", wanted},
                 {"found", std::string(found.value_or("nothing"))},
                 {"remedy", "leave s3.sse away, or set the bucket's default encryption"}});
    return {};
}

Status S3Backend::remove_many(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) {
    Status first;
    while (!names.empty()) {
        const auto part = names.first(std::min(names.size(), k_deletes_max));
        names = names.subspan(part.size());
        Status removed;
        if (many_deletes_ && part.size() > 1) removed = remove_at_once(part, gone);
        // Asked again after it found out that it cannot: none of the part is gone then.
        if (!many_deletes_ || part.size() == 1) removed = remove_one_by_one(part, gone);
        if (!removed && first) first = std::move(removed);
        if (!first && first.error().retryable()) break;    // the others would wait for the same dead server
    }
    return first;
}

Status S3Backend::remove_one_by_one(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) {
    Status first;
    for (const FileName& name : names) {
        auto removed = client_.send({.method = "DELETE", .key = key_of(name), .what = say("removing", name)});
        if (removed || removed.error().code == ErrorCode::not_found)
            gone(name);
        else if (first)
            first = fail(std::move(removed).error());
    }
    return first;
}

Status S3Backend::remove_at_once(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) {
    const std::string what = fmt::format("{}: removing {} files", location(), names.size());
    // Quiet: only what went wrong is answered.
    std::string list = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>";
    std::map<std::string, FileName> left;
    for (const FileName& name : names) {
        list += fmt::format("<Object><Key>{}</Key></Object>", xml_escaped(key_of(name)));
        left.emplace(key_of(name), name);
    }
    list += "</Delete>";
    MemoryBody body(as_bytes(list));
    HF_TRY(const auto md5, md5_of(body, 0, body.size()));
    auto answer = client_.send({.method = "POST",
                                .query = {{"delete", ""}},
                                .headers = {{"Content-MD5", to_base64(md5)}, {"Content-Type", "application/xml"}},
                                .body = &body,
                                .what = what});
    if (!answer) {
        const ErrorCode code = answer.error().code;
        // Not known there (501, 405, or an answer to something else): none of it was done.
        if (code == ErrorCode::unsupported || code == ErrorCode::store) {
            many_deletes_ = false;
            return {};
        }
        return fail(std::move(answer).error());
    }
    HF_TRY(const XmlElement outcome, parse_xml(as_text(answer->body)));
    if (outcome.name != "DeleteResult")
        return fail(ErrorCode::unreachable,
                    fmt::format("{}: the server answered {} {}", what, outcome.name, outcome.text_of("Code")));
    Status first;
    for (const XmlElement& entry : outcome.children) {
        if (entry.name != "Error" || entry.text_of("Code") == "NoSuchKey") continue;
        const auto failed = left.find(std::string(entry.text_of("Key")));
        if (failed == left.end())
            return fail(ErrorCode::corrupt, what + ": the server speaks of a file that was not asked for");
        if (first) first = fail(client_.error_of(entry, say("removing", failed->second)));
        left.erase(failed);
    }
    for (const auto& [key, name] : left) gone(name);
    return first;
}

Status S3Backend::read_at(const FileName& name, std::uint64_t offset, ByteSpan to) {
    if (to.empty()) return {};
    RangeSink sink(offset, to, say("reading", name));
    HF_TRY(const HttpResponse answer, client_.send({.key = key_of(name),
                                                    .headers = {{"Range", sink.header()}},
                                                    .what = say("reading", name),
                                                    .sink = [&](ByteView bytes) { return sink.take(bytes); }}));
    return sink.finish(answer);
}

Status S3Backend::list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) {
    if (kind == FileKind::config) return {};
    const std::string what = fmt::format("{}: listing {}", location(), folder_of(kind));
    const std::string& prefix = client_.location().prefix;
    const auto fetch = [&](const std::string& page) -> Result<ObjectPage> {
        Query query = {{"list-type", "2"},
                       {"max-keys", std::to_string(list_page_)},
                       {"prefix", fmt::format("{}{}/", prefix, folder_of(kind))}};
        if (!page.empty()) query.emplace_back("continuation-token", page);
        HF_TRY(const HttpResponse answer, client_.send({.query = std::move(query), .what = what}));
        return parse_s3_page(as_text(answer.body), what);
    };
    return list_objects(kind, prefix, what, fetch, found);
}

}    // namespace

std::unique_ptr<Backend> s3_backend(S3Location location, S3Settings settings) {
    return std::make_unique<S3Backend>(std::move(location), std::move(settings));
}

Result<std::unique_ptr<Backend>> open_s3(const std::string& rest, const BackendOptions& options) {
    HF_TRY(S3Location location, parse_s3_location(rest, options));
    S3Settings settings;
    HF_TRY(settings.credentials, find_aws_credentials());
    settings.http = {.connections = location.connections,
                     .ca_file = options.ca_file,
                     .client_certificate = options.client_certificate,
                     .pace = options.pace};
    return s3_backend(std::move(location), std::move(settings));
}

}    // namespace holdfast::storage
