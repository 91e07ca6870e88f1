"""What made weights/face_action_units.safetensors, `python weights/make_face_action_units.py`, and its other half for the face
mesh, face_action_units_people.safetensors: the same with `--tracker people`.

Synthetic people (identity numbers from 1000 on) speak and grimace; their 68 points, turned to the front and compared with their
neutral face, are mapped to the 17 action units that moved them. Expressions are drawn independently of one another, so that no
unit can be guessed from another one. Most people carry invented errors of a tracker; the films of `--films` others are drawn,
tracked and posed by this pack, and so are those of the people (below 1000) on whom reliability is measured. The net for the mesh
learns from no drawn film: what the mesh gets wrong on renders but not on people would be undone on people too.
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from make_demo_avatar import load_package

FPS, FIRST_TRAIN, DRAWN_GRIMACING, DRAWN_SPEAKING, FIRST_TEST = 25.0, 1000, 1300, 1400, 520  # first identity of each group
SECONDS, INVENTED_SECONDS, FILM = 6.0, 10.0, 256  # of each drawn film, of each other; px of the drawn films
COUNTS = {  # people with invented errors, drawn films, people tested on speaking and grimacing
    "rendered": (120, 40, 12, 8), "people": (88, 0, 4, 4)}
DRAWS, REPEATED = 2, 4  # sets of invented errors; how often a drawn film counts
WIDTH, EPOCHS, BATCH = 32, 15, 1024
_INDEPENDENT = {  # parameter: (memory s, spread, offset, cut Hz) of a wandering curve, clipped to 0..1
    "smile": (2.0, .35, 0., 1.2), "frown": (1.5, .35, -.15, 1.2), "dimple": (1.0, .35, -.15, 1.2), "browin": (1.0, .4, -.1, 2.),
    "browout": (1.0, .4, -.1, 2.), "browlow": (1.3, .4, -.15, 1.5), "lidraise": (.8, .35, -.15, 2.),
    "cheek": (1.5, .35, -.1, 1.2), "lidtight": (1.2, .35, -.1, 1.5), "nose": (.8, .3, -.15, 1.5),
    "chin": (.6, .3, -.15, 2.), "stretch": (.6, .3, -.15, 2.),
    "press": (.6, .3, -.2, 2.), "upraise": (.8, .3, -.1, 1.5)}


@dataclass(frozen=True)
class Take:
    """One film's worth of motion."""

    params: np.ndarray       # [T, 22]
    euler: np.ndarray        # [T, 3] rad
    translation: np.ndarray  # [T, 3] photo px


def spoken(seconds: float, seed: int) -> Take:
    """A performance as the benchmarks film them."""
    from talking_heads.media_core.subject import perform

    performance = perform(seconds, seed, engine="formant", fps=FPS)
    return Take(performance.params, performance.euler, performance.translation)


def independent(seconds: float, seed: int) -> Take:
    """Speech with expressions that know nothing of each other, and somebody else's head motion."""
    from talking_heads.media_core.subject.curves import wander
    from talking_heads.media_core.subject.parameters import INDEX

    speech = spoken(seconds, seed)
    rng = np.random.default_rng([seed, 21])
    params = speech.params.copy()
    mouth = ("chin", "stretch", "press", "upraise")  # speech moves these too
    for name, (memory, spread, offset, cut) in _INDEPENDENT.items():
        strength = rng.uniform(0, 1.3)
        curve = np.clip(strength * (offset + wander(len(params), FPS, memory, spread, rng, cut)), 0, 1)
        params[:, INDEX[name]] = np.maximum(params[:, INDEX[name]], curve) if name in mouth else curve
    calm = rng.uniform(.3, 1)                        # some speak little
    for name in ("la", "jaw"):
        params[:, INDEX[name]] *= calm
    head = np.stack([wander(len(params), FPS, 1.5, spread, rng, .9) for spread in (.14, .08, .05, 2., 1.5, 5.)], 1)
    return Take(params, head[:, :3] * rng.uniform(.4, 1.4), head[:, 3:])


def truth(subject, take: Take) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points [T, 68, 2] px, camera to head [T, 4, 4], shape [68, 3], action units [T, 17]; nothing is drawn."""
    from talking_heads.media_core.subject.export import camera_to_world
    from talking_heads.media_core.subject.parameters import PARAMS, action_units

    poses = [subject.pose(e, t) for e, t in zip(take.euler, take.translation)]
    points = np.stack([subject.landmarks(p, pose)[0] for p, pose in zip(take.params, poses)])
    cameras = np.stack([camera_to_world(*subject.world_to_camera(pose)) for pose in poses])
    shape = subject.landmarks(np.zeros(len(PARAMS)), poses[0])[1]
    return points, cameras, shape, action_units(take.params)


def invented_errors(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # [T, 68, 2] -> [T, 68, 2]
    """Points as a tracker might see them: about 1 % of the eyes' distance off, mostly constant or slow, lips and lids less open
    than they are."""
    from mesh_like_errors import slow
    from talking_heads.media_core.face.geometry import inter_ocular

    out = points.copy()
    unit = float(np.median(inter_ocular(points)))
    for upper, lower in (((61, 62, 63), (67, 66, 65)), ((50, 51, 52), (58, 57, 56)), ((37, 38, 43, 44), (41, 40, 47, 46))):
        share = rng.uniform(0, .25)
        gap = points[:, upper] - points[:, lower]
        out[:, upper] -= .5 * share * gap
        out[:, lower] += .5 * share * gap
    frames = len(points)
    groups = (range(17), range(17, 22), range(22, 27), range(27, 36), range(36, 42), range(42, 48), range(48, 68))
    level = unit * rng.uniform(.5, 1.6)

    out += level * (rng.normal(0, .008, (68, 2)) + slow(frames, (68, 2), .006, .4, rng) + rng.normal(0, .002, points.shape))
    for group in groups:
        out[:, list(group)] += level * slow(frames, (1, 2), .004, .5, rng)
    turned = np.diff(points[:, [36, 45]].mean(1) - points[:, 30:34].mean(1), axis=1)  # a measure of the turn of the head
    out += (turned / unit - np.median(turned / unit))[:, None] * level * rng.normal(0, .06, (68, 2))
    return out


def simulated(identity: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(turned points [T, 68, 2], action units [T, 17]) of one person, DRAWS times with other invented errors."""
    from talking_heads.media_core.subject import Subject

    subject = Subject(FILM, identity, oversampling=1)
    exact = truth(subject, independent(INVENTED_SECONDS, 10_000 + identity))
    return [disturbed(*exact, subject.focal, identity + 1000 * draw) for draw in range(DRAWS)]


def disturbed(points, cameras, shape, au, focal: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`truth` with invented errors of points, poses and shape."""
    from scipy.spatial.transform import Rotation
    from talking_heads.media_core.face.action_units.action_units import frontal_points
    from talking_heads.media_core.subject.curves import wander

    rng = np.random.default_rng([seed, 22])
    shape = shape + np.array([0, 0, 1]) * rng.normal(0, .003, (68, 1))
    wrong = np.stack([wander(len(points), FPS, .8, np.radians(1.0), rng) for _ in range(3)], 1)
    wrong = Rotation.from_rotvec(wrong + rng.normal(0, .02, 3)).as_matrix()
    cameras = cameras.copy()
    cameras[:, :3] = wrong @ cameras[:, :3]
    return frontal_points(invented_errors(points, rng), cameras, shape, focal, (256, 256)), au


def fit(x: np.ndarray, y: np.ndarray, seed: int = 0, width: int = WIDTH, epochs: int = EPOCHS):
    """The net [N, F] -> [N, 17] by Adam on squared errors, every unit weighed by its own variance."""
    import torch
    from talking_heads.media_core.face.action_units.action_units import ActionUnitNet

    torch.manual_seed(seed)
    mean, scale = x.mean(0), 1 / (x.std(0) + 1e-4)
    inputs = torch.from_numpy(((x - mean) * scale).clip(-8, 8).astype(np.float32))
    targets = torch.from_numpy(y.astype(np.float32))
    linear, hidden = torch.nn.Linear(x.shape[1], 17), torch.nn.Linear(x.shape[1], width)
    out = torch.nn.Linear(width, 17, bias=False)
    torch.nn.init.zeros_(linear.weight)
    parameters = [*linear.parameters(), *hidden.parameters(), *out.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=.05)
    batches = max(1, len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * batches)
    weight = 1 / targets.var(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(x))[:batches * BATCH].view(batches, -1) if len(x) >= BATCH else [torch.arange(len(x))]:
            given = inputs[rows]
            predicted = linear(given) + out(torch.relu(hidden(given)))
            wanted = targets[rows]
            error = torch.where(wanted > 0, predicted - wanted, predicted.clamp(min=0))  # below 0 is as good as 0
            loss = (error.square() * weight).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    plain = [t.detach() for t in (linear.weight, linear.bias, hidden.weight, hidden.bias, out.weight)]
    norms = [torch.from_numpy(a.astype(np.float32)) for a in (mean, scale)]
    return ActionUnitNet(*norms, *plain, (0.0,) * 17)


def ridge(x: np.ndarray, y: np.ndarray, strength: float = 30.0):
    """The same without the hidden layer, in closed form: the baseline."""
    import torch
    from talking_heads.media_core.face.action_units.action_units import ActionUnitNet

    mean, scale = x.mean(0), 1 / (x.std(0) + 1e-4)
    z = ((x - mean) * scale).clip(-8, 8)
    solution = np.linalg.solve(z.T @ z + strength * np.eye(x.shape[1]), z.T @ (y - y.mean(0)))
    plain = (mean, scale, solution.T, y.mean(0), np.zeros((1, x.shape[1])), np.zeros(1), np.zeros((17, 1)))
    return ActionUnitNet(*(torch.from_numpy(a.astype(np.float32)) for a in plain), (0.0,) * 17)


def halfway(base, net):
    """The mean of the baseline and the net, again a net: steadier than either on people never seen."""
    return replace(net, linear=(base.linear + net.linear) / 2, bias=(base.bias + net.bias) / 2, out=net.out / 2)


def correlations(net, films: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """[films, 17] correlation of each film's units with the truth; NaN for a unit that rests."""
    import torch

    out = np.full((len(films), 17), np.nan)
    for i, (x, y) in enumerate(films):
        predicted = net(torch.from_numpy(x.astype(np.float32))).numpy()
        for unit in range(17):
            if y[:, unit].std() > .05:
                out[i, unit] = np.corrcoef(predicted[:, unit] + 1e-9 * np.arange(len(y)), y[:, unit])[0, 1]
    return out


def reliability(net, *kinds: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, ...]:
    """The mean correlation of every unit over a kind's films, of the worse kind: 17 numbers 0..1."""
    means = [np.nan_to_num(np.nanmean(correlations(net, films), 0)) for films in kinds]
    return tuple(round(float(value), 3) for value in np.clip(np.min(means, 0), 0, 1))


def table(net, name: str, films: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """A printed row of correlations, and the mean of the seven units that the pack relies on."""
    from talking_heads.media_core.motion import AU_NAMES

    means = np.nan_to_num(np.nanmean(correlations(net, films), 0))
    relied = [AU_NAMES.index(f"AU{unit}") for unit in ("01", "10", "12", "23", "25", "26", "45")]
    cells = " ".join(f"{unit[2:]} {value:.2f}" for unit, value in zip(AU_NAMES, means))
    return f"{name:24s} {cells} | 01 10 12 23 25 26 45: {means[relied].mean():.3f}"


def pictures(identity: int, take: Take):
    """The film's frames, uint8 [FILM, FILM, 3], with the losses of a JPEG."""
    import cv2
    from talking_heads.media_core.subject import Subject

    subject = Subject(FILM, identity, oversampling=1)
    for params, euler, translation in zip(take.params, take.euler, take.translation):
        image = subject.render(params, subject.pose(euler, translation)).rgb
        packed = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        yield cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1].copy()


def tracked(identity: int, take: Take, tracker: str, kept: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(turned points [T, 68, 2], action units [T, 17]) of a film that was drawn, tracked and posed by this pack; what was tracked
    is read from `kept`, or written there."""
    from talking_heads.media_core.face.landmarks.landmarks import track_frames
    from talking_heads.media_core.face.landmarks.raw_track import RawTrack
    from talking_heads.media_core.face.trackers import make_tracker
    from talking_heads.media_core.subject.parameters import action_units

    if kept is not None and kept.is_file():
        raw = RawTrack.load(kept)
    else:
        raw = track_frames(pictures(identity, take), FPS, tracker=make_tracker(tracker))
        if kept is not None:
            raw.save(kept)
    return posed(raw.points, raw.image_size), action_units(take.params)


def posed(points: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:  # [T, 68, 2] px -> [T, 68, 2]
    """Points turned to the front by the poses that this pack finds in them."""
    import torch
    from talking_heads.media_core.face.action_units.action_units import frontal_points
    from talking_heads.media_core.face.pose.pose import fit_shape, smooth_poses, solve_poses
    from talking_heads.media_core.motion import PoseTrack

    shape = fit_shape(points, image_size)
    poses = PoseTrack(torch.from_numpy(solve_poses(points, shape)[0]), shape.focal, image_size, FPS)
    return frontal_points(points, smooth_poses(poses).camera_to_head.numpy(), shape.points, shape.focal, image_size)


def mesh_like(identity: int, kept: Path | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """(features [T, F], action units [T, 17]) of one person, DRAWS times as the face mesh may see them, posed by this pack; some
    of them twice, the second time with a neutral face whose lips are apart: there are people who never close them."""
    from mesh_like_errors import mesh_like_errors, open_lipped_rest
    from talking_heads.media_core.face.action_units.action_units import features
    from talking_heads.media_core.subject import Subject

    if kept is not None and kept.is_file():
        files = np.load(kept)
        made, au = files["made"], files["au"]
    else:
        points, _, _, au = truth(Subject(FILM, identity, oversampling=1), independent(INVENTED_SECONDS, 10_000 + identity))
        made = np.stack([posed(mesh_like_errors(points, np.random.default_rng([identity, draw, 23])), (FILM, FILM))
                         for draw in range(DRAWS)])
        if kept is not None:
            np.savez(kept, made=made, au=au)
    rests = [open_lipped_rest(xy, np.random.default_rng([identity, draw, 24])) for draw, xy in enumerate(made)]
    return ([(features(xy, FPS).numpy(), au) for xy in made]
            + [(features(xy, FPS, rest).numpy(), au) for xy, rest in zip(made, rests) if rest is not None])


def used(tracker: str) -> np.ndarray:  # -> bool [F]
    """Features that the net may use: that for the mesh does without the mouth's width (not without its corners' movement), in
    which real people differ more than synthetic ones do."""
    from talking_heads.media_core.face.action_units.action_units import CONTEXT, feature_count

    of_frame = feature_count() // (1 + len(CONTEXT))
    return (np.arange(feature_count()) % of_frame != of_frame - 3) | (tracker == "rendered")


def main() -> None:
    args = arguments()
    load_package()
    from talking_heads.media_core.face.action_units.action_units import SOURCES

    def films(take, first: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        found = []
        for identity in range(first, first + count):
            kept = args.cache and args.cache / f"{args.tracker}_{take.__name__}_{identity}.safetensors"
            film = tracked(identity, take(SECONDS, (20_000 if take is spoken else 30_000) + identity), args.tracker, kept)
            found += with_features([film])
            print(f"\r{take.__name__} {identity}   ", end="", flush=True)
        return found

    def invented(identity: int) -> list[tuple[np.ndarray, np.ndarray]]:
        if args.tracker == "rendered":
            return with_features(simulated(identity))
        return mesh_like(identity, args.cache and args.cache / f"mesh_like_{identity}.npz")

    train = [film for identity in range(FIRST_TRAIN, FIRST_TRAIN + args.people) for film in invented(identity)]
    train += REPEATED * (films(independent, DRAWN_GRIMACING, args.films) + films(spoken, DRAWN_SPEAKING, args.films * 2 // 5))
    tests = {"speaking": films(spoken, FIRST_TEST, args.tested),
             "independent": films(independent, FIRST_TEST, args.tested_grimacing)}
    x, y = (np.concatenate(parts) for parts in zip(*train))
    net = learnt(x, y, used(args.tracker), tests)
    note = "correlation on people never seen, drawn, tracked and posed; the worse of speech and independent expressions"
    net.save(args.out or SOURCES[args.tracker][0],
             {"people": args.people, "films": args.films, "frames": len(x), "reliability_is": note})


def with_features(films: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    from talking_heads.media_core.face.action_units.action_units import features

    return [(features(xy, FPS).numpy(), au) for xy, au in films]


def learnt(x: np.ndarray, y: np.ndarray, seen: np.ndarray, tests: dict[str, list[tuple[np.ndarray, np.ndarray]]]):
    """The net that sees only the features `seen`, with its reliability; prints how good it is."""
    import torch

    x = x if seen.all() else np.where(seen, x, 0)
    nets = {"ridge": ridge(x, y), "net": fit(x, y)}
    nets["mean"] = halfway(*nets.values())
    nets = {name: replace(net, scale=torch.where(torch.from_numpy(seen), net.scale, 0)) for name, net in nets.items()}
    print()
    for kind, made in tests.items():
        for name, net in nets.items():
            print(table(net, f"{name}, {kind}", made))
    return replace(nets["mean"], reliability=reliability(nets["mean"], *tests.values()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker", choices=tuple(COUNTS), default="rendered", help="whose points the net is made for")
    parser.add_argument("--out", type=Path, help="file to write; default: the one in weights/")
    parser.add_argument("--people", type=int, help="whose errors are invented")
    parser.add_argument("--films", type=int, help="people who are drawn and tracked to learn from")
    parser.add_argument("--tested", type=int, help="people who are drawn and tracked to be tested on, speaking")
    parser.add_argument("--tested-grimacing", type=int, help="the same, grimacing")
    parser.add_argument("--cache", type=Path, help="folder that keeps what takes long for another run")
    args = parser.parse_args()
    for name, count in zip(("people", "films", "tested", "tested_grimacing"), COUNTS[args.tracker]):
        if getattr(args, name) is None:
            setattr(args, name, count)
    return args


if __name__ == "__main__":
    main()
