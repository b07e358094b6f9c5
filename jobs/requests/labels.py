"""Samplers, noise schedules and upscalers by the names of A1111's web UI, which pictures carry and other tools know."""

from jobs.requests.enlarging import HiresUpscaler, ResolvedHires
from jobs.requests.samplers import SamplerName, ScheduleName

LABELS = {
    SamplerName.EULER_ANCESTRAL: "Euler a",
    SamplerName.EULER: "Euler",
    SamplerName.LMS: "LMS",
    SamplerName.HEUN: "Heun",
    SamplerName.DPMPP_2M: "DPM++ 2M",
    SamplerName.DPMPP_2M_SDE: "DPM++ 2M SDE",
    SamplerName.DDIM: "DDIM",
    SamplerName.PNDM: "PLMS",
    SamplerName.UNIPC: "UniPC",
    SamplerName.DDPM: "DDPM",
    SamplerName.DPM2: "DPM2",
    SamplerName.DPM2_ANCESTRAL: "DPM2 a",
    SamplerName.DPMPP_2S_ANCESTRAL: "DPM++ 2S a",
    SamplerName.DPMPP_SDE: "DPM++ SDE",
    SamplerName.DPMPP_2M_SDE_HEUN: "DPM++ 2M SDE Heun",
    SamplerName.DPMPP_3M_SDE: "DPM++ 3M SDE",
    SamplerName.RESTART: "Restart",
    SamplerName.LCM: "LCM",
    SamplerName.TCD: "TCD",
}
SCHEDULE_LABELS = {
    ScheduleName.DEFAULT: "Automatic",
    ScheduleName.KARRAS: "Karras",
    ScheduleName.EXPONENTIAL: "Exponential",
    ScheduleName.SGM_UNIFORM: "SGM Uniform",
    ScheduleName.SIMPLE: "Simple",
    ScheduleName.NORMAL: "Normal",
    ScheduleName.BETA: "Beta",
    ScheduleName.AYS: "Align Your Steps",
}
HIRES_LABELS = {
    HiresUpscaler.LATENT: "Latent",
    HiresUpscaler.LATENT_ANTIALIASED: "Latent (antialiased)",
    HiresUpscaler.LATENT_BICUBIC: "Latent (bicubic)",
    HiresUpscaler.LATENT_BICUBIC_ANTIALIASED: "Latent (bicubic antialiased)",
    HiresUpscaler.LATENT_NEAREST: "Latent (nearest)",
    HiresUpscaler.LATENT_NEAREST_EXACT: "Latent (nearest-exact)",
    HiresUpscaler.LANCZOS: "Lanczos",
    HiresUpscaler.NEAREST: "Nearest",
    HiresUpscaler.X4PLUS: "R-ESRGAN 4x+",
    HiresUpscaler.X4PLUS_ANIME: "R-ESRGAN 4x+ Anime6B",
}


def hires_fields(hires: ResolvedHires) -> dict[str, str | int]:
    """A second pass in the words of the web UI."""
    size = {"Hires resize": f"{hires.width}x{hires.height}"}
    return {
        **(size if hires.scale is None else {"Hires upscale": f"{hires.scale:g}"}),
        "Hires steps": hires.steps,
        "Hires upscaler": HIRES_LABELS[hires.upscaler],
    }
