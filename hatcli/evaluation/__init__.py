"""Data sets, PSNR and SSIM as the papers compute them, and tables of both."""
