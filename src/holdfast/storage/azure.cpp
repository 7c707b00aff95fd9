#include "holdfast/storage/azure.hpp"

#include <fmt/core.h>

#include "holdfast/storage/azure_client.hpp"
#include "holdfast/storage/digest.hpp"
#include "holdfast/storage/object_list.hpp"
#include "holdfast/storage/object_names.hpp"
#include "holdfast/storage/spool.hpp"

namespace holdfast::storage {
namespace {

constexpr std::uint64_t k_blocks_max = 50'000;

class AzureBackend final : public Backend {
public:
    AzureBackend(AzureLocation location, AzureSettings settings)
        : client_(std::move(location), std::move(settings.credentials), std::move(settings.http)),
          blocks_above_(settings.blocks_above),
          block_size_(settings.block_size),
          list_page_(settings.list_page) {}

    Status create_layout() override;
    Result<std::unique_ptr<Upload>> start(FileKind kind) override;
    Status put(const FileName& name, ByteView bytes) override {
        MemoryBody body(bytes);
        return store(name, body);
    }
    Result<Bytes> read(const FileName& name) override {
        HF_TRY(
            HttpResponse answer,
            client_.send({.blob = blob_of(name), .what = say("reading", name), .body_max = read_size_max(name.kind)}));
        return std::move(answer.body);
    }
    Status read_at(const FileName& name, std::uint64_t offset, ByteSpan to) override;
    Result<std::uint64_t> size(const FileName& name) override {
        HF_TRY(const HttpResponse answer,
               client_.send({.method = "HEAD", .blob = blob_of(name), .what = say("looking at", name)}));
        return content_length(answer, say("looking at", name));
    }
    Status list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) override;
    Status remove(const FileName& name) override {
        HF_DO(client_.send({.method = "DELETE", .blob = blob_of(name), .what = say("removing", name)}));
        return {};
    }
    Status sync() override { return {}; }
    bool lists_at_once() const override { return true; }
    unsigned connections() const override { return client_.location().connections; }
    std::string location() const override {
        const std::string& prefix = client_.location().prefix;
        return fmt::format("azure:{}:/{}", client_.location().container,
                           prefix.substr(0, prefix.empty() ? 0 : prefix.size() - 1));
    }
    Status store(const FileName& name, HttpBody& body);

private:
    std::string blob_of(const FileName& name) const { return client_.location().prefix + relative_path(name); }
    std::string say(const char* doing, const FileName& name) const {
        return fmt::format("{}: {} {}", location(), doing, relative_path(name));
    }
    Status store_in_blocks(const FileName& name, HttpBody& body, std::vector<HttpHeader> headers);

    AzureClient client_;
    const std::uint64_t blocks_above_, block_size_, list_page_;
};

class AzureUpload final : public Upload {
public:
    AzureUpload(AzureBackend& backend, FileKind kind, Spool spool)
        : backend_(backend), kind_(kind), spool_(std::move(spool)) {}
    Status write(ByteView bytes) override { return spool_.write(bytes); }
    Status commit(const Id& id) override { return backend_.store({kind_, id}, spool_); }

private:
    AzureBackend& backend_;
    const FileKind kind_;
    Spool spool_;
};

Result<std::unique_ptr<Upload>> AzureBackend::start(FileKind kind) {
    HF_TRY(Spool spool, Spool::create());
    return std::make_unique<AzureUpload>(*this, kind, std::move(spool));
}

Status AzureBackend::create_layout() {
    const Query container = {{"restype", "container"}};
    const std::string what = fmt::format("{}: looking for the container", location());
    const auto there = client_.send({.method = "HEAD", .query = container, .what = what});
    // Denied: a SAS for what lies in the container is enough for us.
    if (there || there.error().code == ErrorCode::denied) return {};
    if (there.error().code != ErrorCode::not_found) return fail(there.error());
    auto made = client_.send(
        {.method = "PUT", .query = container, .what = fmt::format("{}: making the container", location())});
    if (made || made.error().code == ErrorCode::exists) return {};
    return fail(std::move(made).error());
}

Status AzureBackend::store(const FileName& name, HttpBody& body) {
    std::vector<HttpHeader> headers;
    if (name.kind == FileKind::config) headers.push_back({"If-None-Match", "*"});
    // All but packs is read at every start.
    if (name.kind == FileKind::pack && !client_.location().access_tier.empty())
        headers.push_back({"x-ms-access-tier", client_.location().access_tier});
    if (body.size() > blocks_above_) return store_in_blocks(name, body, std::move(headers));
    HF_TRY(const auto md5, md5_of(body, 0, body.size()));
    headers.push_back({"Content-MD5", to_base64(md5)});
    headers.push_back({"Content-Type", "application/octet-stream"});
    headers.push_back({"x-ms-blob-type", "BlockBlob"});
    auto answer = client_.send({.method = "PUT",
                                .blob = blob_of(name),
                                .headers = std::move(headers),
                                .body = &body,
                                .what = say("writing", name)});
    if (answer) return {};
    if (answer.error().code == ErrorCode::exists && name.kind == FileKind::config)
        return fail(ErrorCode::exists, fmt::format("{} has a config already", location()),
                    "use the repository as it is, or name another place");
    return fail(std::move(answer).error());
}

Status AzureBackend::store_in_blocks(const FileName& name, HttpBody& body, std::vector<HttpHeader> headers) {
    const std::string blob = blob_of(name);
    const std::uint64_t block_size = std::max(block_size_, body.size() / (k_blocks_max - 1) + 1);
    std::string list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
    unsigned number = 0;
    for (std::uint64_t offset = 0; offset < body.size(); offset += block_size) {
        PartOfBody block(body, offset, std::min(block_size, body.size() - offset));
        const std::string id = to_base64(as_bytes(fmt::format("{:08}", number++)));
        HF_TRY(const auto md5, md5_of(block, 0, block.size()));
        HF_DO(client_.send({.method = "PUT",
                            .blob = blob,
                            .query = {{"comp", "block"}, {"blockid", id}},
                            .headers = {{"Content-MD5", to_base64(md5)}},
                            .body = &block,
                            .what = fmt::format("{}, block {}", say("writing", name), number)}));
        list += fmt::format("<Uncommitted>{}</Uncommitted>", id);
    }
    list += "</BlockList>";
    MemoryBody list_body(as_bytes(list));
    HF_TRY(const auto md5, md5_of(body, 0, body.size()));
    headers.push_back({"x-ms-blob-content-md5", to_base64(md5)});
    headers.push_back({"x-ms-blob-content-type", "application/octet-stream"});
    headers.push_back({"Content-Type", "application/xml"});
    HF_DO(client_.send({.method = "PUT",
                        .blob = blob,
                        .query = {{"comp", "blocklist"}},
                        .headers = std::move(headers),
                        .body = &list_body,
                        .what = say("finishing to write", name)}));
    return {};
}

Status AzureBackend::read_at(const FileName& name, std::uint64_t offset, ByteSpan to) {
    if (to.empty()) return {};
    RangeSink sink(offset, to, say("reading", name));
    HF_TRY(const HttpResponse answer, client_.send({.blob = blob_of(name),
                                                    .headers = {{"Range", sink.header()}},
                                                    .what = say("reading", name),
                                                    .sink = [&](ByteView bytes) { return sink.take(bytes); }}));
    return sink.finish(answer);
}

Status AzureBackend::list(FileKind kind, const std::function<void(const Id&, std::uint64_t)>& found) {
    if (kind == FileKind::config) return {};
    const std::string what = fmt::format("{}: listing {}", location(), folder_of(kind));
    const std::string& prefix = client_.location().prefix;
    const auto fetch = [&](const std::string& page) -> Result<ObjectPage> {
        Query query = {{"restype", "container"},
                       {"comp", "list"},
                       {"maxresults", std::to_string(list_page_)},
                       {"prefix", fmt::format("{}{}/", prefix, folder_of(kind))}};
        if (!page.empty()) query.emplace_back("marker", page);
        HF_TRY(const HttpResponse answer, client_.send({.query = std::move(query), .what = what}));
        return parse_azure_page(as_text(answer.body), what);
    };
    return list_objects(kind, prefix, what, fetch, found);
}

}    // namespace

std::unique_ptr<Backend> azure_backend(AzureLocation location, AzureSettings settings) {
    return std::make_unique<AzureBackend>(std::move(location), std::move(settings));
}

Result<std::unique_ptr<Backend>> open_azure(const std::string& rest, const BackendOptions& options) {
    AzureSettings settings;
    HF_TRY(settings.credentials, find_azure_credentials());
    HF_TRY(AzureLocation location, parse_azure_location(rest, settings.credentials.account, options));
    settings.http = {.connections = location.connections,
                     .ca_file = options.ca_file,
                     .client_certificate = options.client_certificate,
                     .pace = options.pace};
    return azure_backend(std::move(location), std::move(settings));
}

}    // namespace holdfast::storage
