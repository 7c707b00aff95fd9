#include "holdfast/storage/s3_location.hpp"

#include <fmt/core.h>

#include "holdfast/os/host.hpp"
#include "holdfast/storage/object_names.hpp"

namespace holdfast::storage {
namespace {

std::string without_port(const std::string& authority) {
    return authority.back() == ']' ? authority : authority.substr(0, authority.rfind(':'));
}

}    // namespace

bool S3Location::is_aws() const {
    const std::string name = without_port(authority);
    return name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn");
}

Result<S3Location> parse_s3_location(const std::string& rest, const BackendOptions& options) {
    constexpr const char* k_form = "write it as s3:https://host/bucket/folder or s3:s3.amazonaws.com/bucket/folder";
    const bool is_url = rest.starts_with("http://") || rest.starts_with("https://");
    const std::string text = is_url ? rest : "https://" + (rest.starts_with("//") ? rest.substr(2) : rest);
    auto url = parse_url(text);
    if (!url) {
        Error error = std::move(url).error().within("the location of an S3 repository");
        error.hint = k_form;
        return fail(std::move(error));
    }
    if (!url->user.empty() || !url->password.empty())
        return fail(ErrorCode::usage, "the location of an S3 repository holds a user or password",
                    "keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    S3Location location;
    location.scheme = url->scheme;
    location.authority = url->authority();
    HF_TRY(const std::string path, percent_decoded(url->path));
    const std::string_view below = std::string_view(path).substr(path.empty() ? 0 : 1);
    location.bucket = below.substr(0, below.find('/'));
    if (location.bucket.empty())
        return fail(ErrorCode::usage, "the location of an S3 repository names no bucket", k_form);
    for (const char c : location.bucket)
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
              c == '_'))
            return fail(ErrorCode::usage, fmt::format("\"{}\" is not a name that a bucket can have", location.bucket),
                        k_form);
    HF_TRY(location.prefix, clean_prefix(below.substr(location.bucket.size())));

    location.region = options.find("s3.region").value_or("");
    for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
        if (location.region.empty()) location.region = os::environment(name).value_or("");
    const std::string lookup = options.find("s3.bucket-lookup").value_or("auto");
    if (lookup != "auto" && lookup != "dns" && lookup != "path")
        return fail(ErrorCode::usage, fmt::format("the option s3.bucket-lookup={} is not known", lookup),
                    "it is auto, dns or path");
    // A bucket with a dot in its name has no certificate of its own.
    location.bucket_in_host =
        lookup == "dns" || (lookup == "auto" && location.is_aws() &&
                            (location.scheme == "http" || location.bucket.find('.') == std::string::npos));
    location.storage_class = options.find("s3.storage-class").value_or("");
    location.sse = options.find("s3.sse").value_or("");
    location.sse_key = options.find("s3.sse-kms-key-id").value_or("");
    if (location.sse.empty() && !location.sse_key.empty()) location.sse = "aws:kms";
    if (!location.sse.empty() && location.sse != "AES256" && location.sse != "aws:kms")
        return fail(ErrorCode::usage, fmt::format("the option s3.sse={} is not known", location.sse),
                    "it is AES256 or aws:kms");
    if (!location.sse_key.empty() && location.sse != "aws:kms")
        return fail(ErrorCode::usage, "s3.sse-kms-key-id goes only with s3.sse=aws:kms");
    HF_TRY(location.connections, options.number("s3.connections", 5, 1, 256));
    return location;
}

}    // namespace holdfast::storage
