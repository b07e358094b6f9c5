"""Samplers and noise schedules by the names of A1111's web UI, which pictures carry and other tools know."""

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
}
SCHEDULE_LABELS = {
    ScheduleName.DEFAULT: "Automatic",
    ScheduleName.KARRAS: "Karras",
    ScheduleName.EXPONENTIAL: "Exponential",
}
