#include "holdfast/storage/azure_signature.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "holdfast/storage/digest.hpp"

namespace holdfast::storage {
namespace {

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

}    // namespace

std::string http_date(Timestamp time) {
    using namespace std::chrono;
    static constexpr const char* k_days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* k_months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const sys_seconds moment = floor<std::chrono::seconds>(sys_time<nanoseconds>(nanoseconds(time.nanoseconds)));
    const sys_days day = floor<days>(moment);
    const year_month_day date(day);
    const hh_mm_ss clock(moment - day);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", k_days[weekday(day).c_encoding()],
                       static_cast<unsigned>(date.day()), k_months[static_cast<unsigned>(date.month()) - 1],
                       static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                       clock.seconds().count());
}

std::string azure_string_to_sign(const AzureRequest& request, const std::string& account) {
    std::map<std::string, std::string> headers;
    for (const HttpHeader& header : request.headers) headers[lower(header.name)] = header.value;
    std::string text = request.method + "\n";
    for (const char* name :
         {"content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
          "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"}) {
        if (std::string_view(name) == "content-length") {
            if (request.content_length > 0) text += std::to_string(request.content_length);
        } else if (const auto found = headers.find(name); found != headers.end()) {
            text += found->second;
        }
        text += '\n';
    }
    for (const auto& [name, value] : headers)
        if (name.starts_with("x-ms-")) text += fmt::format("{}:{}\n", name, value);
    text += fmt::format("/{}{}", account, request.path);
    Query query = request.query;
    for (auto& [name, value] : query) name = lower(name);
    std::sort(query.begin(), query.end());
    for (const auto& [name, value] : query) text += fmt::format("\n{}:{}", name, value);
    return text;
}

std::string azure_authorization(const AzureRequest& request, const AzureCredentials& credentials) {
    const std::string text = azure_string_to_sign(request, credentials.account);
    return fmt::format("SharedKey {}:{}", credentials.account, to_base64(hmac_sha256(credentials.key, as_bytes(text))));
}

}    // namespace holdfast::storage
