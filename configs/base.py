"""Every field there is, with the paper's values; an experiment lists only what it changes."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.seed = 0
    config.init_from = ""  # a checkpoint to start from; "" for random weights
    config.model = _model()
    config.reference = _reference()
    config.loss = ConfigDict(
        {
            # Of each loss that the detector has; 0 leaves it out, and its head. rank is lambda.
            "weights": {
                **dict.fromkeys(("fcos_class", "fcos_box", "fcos_centerness"), 1.0),
                **dict.fromkeys(("rpn_class", "rpn_box", "box_class", "box"), 1.0),
                **dict.fromkeys(("mask", "mask_iou", "rank"), 1.0),
            },
            "rank_loss": "cross_entropy",  # the paper's; or "pairwise", "listmle" on the mean rank
        }
    )
    config.optim = ConfigDict(
        {
            "name": "sgd",  # or "adamw"
            "learning_rate": 1e-4,
            "momentum": 0.9,
            "weight_decay": 1e-4,  # 0 for norms
            "warmup_steps": 1000,
            "warmup_factor": 1e-3,
            "milestones": (42_000, 50_000),
            "clip_norm": 0.0,  # 0 for none
            "trainable": (),  # parts of the model that train, as ("ranking",); () for all
        }
    )
    config.data = _data()
    config.train = ConfigDict(
        {
            "steps": 54_000,
            "batch_size": 16,
            "accumulate": 1,  # parts that a batch is computed in, with the numbers of the whole
            "ema": 0.0,  # decay of a mean of the weights, which is then what is evaluated
            "remat": False,  # compute activations again instead of keeping them: slower, smaller
            "dtype": "float32",  # or "bfloat16"; "auto": bfloat16 but on a CPU
            "log_every": 20,
            "eval_every": 3000,
            "checkpoint_every": 1000,
            "on_nonfinite": "raise",  # or "skip": leave a step with an inf or nan out
            "max_skipped_steps": 20,  # in the whole run, then it raises all the same
            "profile_steps": (),  # (first, last): a profiler trace of these steps
        }
    )
    config.eval = ConfigDict(
        {
            "split": "val",
            "at_start": False,  # score the untrained model, too
            "batch_size": 4,
            "max_images": 0,  # 0 for all
            "best_metric": "sa_sor",
        }
    )
    return config.lock()


def _data() -> ConfigDict:
    return ConfigDict(
        {
            "name": "assr",  # or "coco", "irsr", "sifr", "scenes"
            "root": "",
            # assr: the folder of the ranks, of several that root may have. coco: the field of an
            # annotation that holds its rank, as "places" (1 = most salient) or "scores".
            "rank_field": "rank_order",
            "rank_values": "places",
            "cache_dir": "",  # "" for ~/.cache/sor_jax
            "targets": "ranked",  # what is to be found; "all": objects without a rank, too
            "canvas_hw": (480, 640),
            "max_objects": 5,
            # Polygons of at most so many edges are drawn as such, larger ones from their bitmap.
            "max_edges": 192,
            # Trains on several folders at once, ((root, weight, targets), ..), in place of root.
            "mixture": (),
            "flip": False,
            "scale": (),  # (least, most) factor of a photograph's size, at random
            "colour": 0.0,  # brightness, contrast and saturation change by so much
            "paste": 0.0,  # share of images that objects of unranked sets are pasted into
            "on_error": "raise",  # or "skip": go on without damaged records, each is told
            "num_workers": 0,  # processes; decoding keeps up with two cores without any
            "num_scenes": {"train": 6000, "val": 200, "test": 400},  # of the built-in set
        }
    )


def _reference() -> ConfigDict:
    """What the released code computes otherwise than the paper says, or by mistake: all off."""
    return ConfigDict(
        {
            "mask_channel": False,  # the mask probability joins the ranking head's features
            "raw_mask": False,  # .. in training as logits
            "mask_gradient": False,  # mask IoU and rank losses reach the mask head
            "whole_pixels": False,  # an object's share in a region is counted in whole pixels
            "unclipped_boxes": False,  # regions may reach up to four image sizes
            "rank_over_regions": False,  # ranks by a softmax over regions; low ones stay free
            "slipped_height": False,  # (y1 + y0) / H for the height of position "box"
        }
    )


def _model() -> ConfigDict:
    return ConfigDict(
        {
            "detector": "centermask",  # or "mask_rcnn"
            "backbone": "vovnet39",
            "norm": "frozen_bn",  # needs init_from; "group" trains from scratch
            "frozen_stages": 2,  # of a ResNet with frozen_bn: the stem is 1; 0 for none
            # The input normalisation belongs to the weights; these are detectron2's.
            "pixel_order": "bgr",
            "pixel_mean": (103.53, 116.28, 123.675),
            "pixel_std": (1.0, 1.0, 1.0),
            "pyramid": {"channels": 256},
            "fcos": {"channels": 256, "depth": 4},  # of centermask
            "rpn": {"channels": 256},  # of mask_rcnn
            "box": {"hidden": 1024},  # of mask_rcnn
            "mask": {"channels": 256, "depth": 4, "spatial_attention": True},
            "iou": {"channels": 256, "depth": 4, "hidden": 1024},  # of centermask
            "ranking": {
                "position": "maps",  # none, maps, center, box, grid, grid_scale
                "interaction": True,
                "channels": 256,
                "depth": 4,
                "hidden": (1024, 1024),
                "layers": 4,
                "heads": 4,
                "ffn": 4096,
                "activation": "gelu",
                "dropout": 0.1,
                "center_grid": 8,
                "scale_grid": 4,
            },
            "num_ranks": 5,  # rank classes; a photograph's later objects have no rank
            "roi_slots": 105,  # 100 proposals and 5 objects: nothing is dropped
            "rank_rule": "sequential",  # the paper's; "expected": by the mean of a region's ranks
            "proposals": {  # of centermask
                "train": {"class_threshold": 0.05, "nms_threshold": 0.6, "max_proposals": 100},
                "test": {"class_threshold": 0.3, "nms_threshold": 0.6, "max_detections": 50},
            },
            "rcnn": {  # of mask_rcnn
                "train": {
                    "pre_nms_top": 2000,  # anchors of a level
                    "nms_threshold": 0.7,
                    "max_proposals": 1000,
                    "sampled_anchors": 256,
                    "sampled_rois": 512,  # of these up to roi_slots are foreground
                },
                "test": {
                    "pre_nms_top": 1000,
                    "nms_threshold": 0.7,
                    "max_proposals": 1000,
                    "class_threshold": 0.3,
                    "box_nms_threshold": 0.5,
                    "max_detections": 100,
                },
            },
        }
    )
