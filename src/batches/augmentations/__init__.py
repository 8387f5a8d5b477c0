"""What an image may be changed by in training: functions, registered under their options."""

from ...registry import Registry

AUGMENTATIONS = Registry("augmentation")  # keys: fields of AugmentationConfig
