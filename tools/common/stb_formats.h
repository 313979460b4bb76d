// Picture formats stb_image is built for. TGA is left out because it has no signature (a text may pass for one), PSD, PIC and HDR
// because this stb_image does not survive crafted ones.
#pragma once

#define STBI_NO_TGA
#define STBI_NO_PSD
#define STBI_NO_PIC
#define STBI_NO_HDR
#define STBI_NO_LINEAR
