#include "holdfast/storage/xml.hpp"

#include <gtest/gtest.h>

namespace holdfast::storage {
namespace {

TEST(Xml, ReadsAListing) {
    const auto root = parse_xml(
        "\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- x --><s3:List xmlns:s3='http://a/>'><Key a=\"1\">"
        "a&amp;b&#x3c;&#228;</Key>\n<Empty/><Key><![CDATA[<&]]></Key><In><Size>12</Size></In></s3:List>\n");
    ASSERT_TRUE(root) << root.error().message;
    EXPECT_EQ(root->name, "List");
    ASSERT_EQ(root->children.size(), 4u);
    EXPECT_EQ(root->text_of("Key"), "a&b<\xc3\xa4");
    EXPECT_EQ(root->children[2].text, "<&");
    EXPECT_EQ(root->text_of("Empty"), "");
    EXPECT_EQ(root->child("In")->text_of("Size"), "12");
    EXPECT_EQ(root->child("None"), nullptr);
}

TEST(Xml, RefusesEveryCutAndWhatItDoesNotKnow) {
    const std::string whole = "<?xml version=\"1.0\"?><A b=\"c\"><B>t&lt;</B><C/><!-- d --></A>";
    ASSERT_TRUE(parse_xml(whole));
    for (std::size_t n = 0; n < whole.size(); ++n)
        EXPECT_EQ(parse_xml(whole.substr(0, n)).error().code, ErrorCode::corrupt) << n;
    for (const char* bad : {"<a></b>", "<a>&no;</a>", "<a>&#0;</a>", "<a>&#xd800;</a>", "<a>&#x110000;</a>", "<a/><b/>",
                            "<a b=c/>", "<a b/>", "<>x</>", "x", "<!DOCTYPE a><a/>", "<a>&amp</a>"})
        EXPECT_FALSE(parse_xml(bad)) << bad;
}

TEST(Xml, BoundsDepthAndNumber) {
    std::string deep, many = "<a>";
    for (int i = 0; i < 100'000; ++i) deep += "<a>";
    EXPECT_FALSE(parse_xml(deep));
    for (int i = 0; i < 200'001; ++i) many += "<b/>";
    EXPECT_FALSE(parse_xml(many + "</a>"));
}

TEST(Xml, EscapesWhatItWrites) {
    EXPECT_EQ(parse_xml("<a>" + xml_escaped("\"x\" <&> ]]>") + "</a>")->text, "\"x\" <&> ]]>");
}

}    // namespace
}    // namespace holdfast::storage
