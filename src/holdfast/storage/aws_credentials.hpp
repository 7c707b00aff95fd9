#pragma once
// Where the keys for an S3 server come from.
//
//   order    AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN); else the profile AWS_PROFILE (or
//            "default") of AWS_SHARED_CREDENTIALS_FILE (or ~/.aws/credentials)
//   errors   denied, with where was looked, when there are none; config for a file that cannot be read as one

#include "holdfast/storage/sigv4.hpp"

namespace holdfast::storage {

Result<AwsCredentials> find_aws_credentials();
/// The section [profile] of such a file; not_found when it is absent or has no keys.
Result<AwsCredentials> parse_aws_credentials(std::string_view text, std::string_view profile);

}    // namespace holdfast::storage
