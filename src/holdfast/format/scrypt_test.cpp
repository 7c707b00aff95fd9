#include "holdfast/format/scrypt.hpp"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "holdfast/format/crypto.hpp"

namespace holdfast::format {
namespace {

std::string derived(const std::string& password, const std::string& salt, KdfCost cost) {
    const auto key = derive_key(Secret(password), as_bytes(salt), cost);
    if (!key) return key.error().message;
    return to_hex(key->encrypt) + to_hex(key->mac_k) + to_hex(key->mac_r);
}

std::string derived_by_openssl(std::string password, std::string salt, KdfCost cost) {
    EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "SCRYPT", nullptr);
    EVP_KDF_CTX* const context = EVP_KDF_CTX_new(kdf);
    std::uint64_t memory = std::uint64_t{1} << 31;
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD, password.data(), password.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt.data(), salt.size()),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &cost.n),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &cost.r),
        OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &cost.p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    std::array<std::byte, 64> out;
    EXPECT_EQ(EVP_KDF_derive(context, reinterpret_cast<unsigned char*>(out.data()), out.size(), parameters), 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return to_hex(out);
}

// RFC 7914, section 12; the fourth vector takes 1 GiB, which we refuse.
TEST(Scrypt, GivesTheVectorsOfTheRfc) {
    EXPECT_EQ(derived("", "", {16, 1, 1}),
              "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
              "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
    EXPECT_EQ(derived("password", "NaCl", {1024, 8, 16}),
              "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
              "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
    EXPECT_EQ(derived("pleaseletmein", "SodiumChloride", {16384, 8, 1}),
              "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
              "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
}

TEST(Scrypt, AgreesWithOpenSslForAnyNumberOfLanesAndForRowsKeptAndMadeAgain) {
    // Rows are kept all (the small ones) down to every eighth; lanes are mixed by up to five.
    for (const KdfCost cost : {KdfCost{2, 1, 1}, KdfCost{4, 3, 2}, KdfCost{64, 5, 3}, KdfCost{64, 8, 4},
                               KdfCost{2048, 8, 6}, KdfCost{2048, 8, 11}, KdfCost{16384, 8, 1}, KdfCost{16384, 8, 2},
                               KdfCost{32768, 8, 1}, KdfCost{32768, 8, 3}, KdfCost{32768, 8, 5}, KdfCost{2048, 32, 2}})
        EXPECT_EQ(derived("correct horse", std::string(64, 's'), cost),
                  derived_by_openssl("correct horse", std::string(64, 's'), cost))
            << cost.n << ' ' << cost.r << ' ' << cost.p;
}

TEST(Scrypt, IsTheSameOnEveryCpu) {
    if (!ScryptLanes::available()) GTEST_SKIP() << "no AVX2 here";
    for (const std::size_t count : {1, 4, 5, 7}) {
        Bytes lanes;
        for (std::size_t i = 0; i < count * 128 * 8; ++i) lanes.push_back(std::byte(i * i >> 3));
        Bytes same = lanes;
        EXPECT_TRUE(ScryptLanes::mix(lanes, 16384, 8));
        EXPECT_TRUE(ScryptLanes::mix(same, 16384, 8, ScryptLanes::Kind::avx2));
        EXPECT_EQ(lanes, same) << count;
    }
}

}    // namespace
}    // namespace holdfast::format
