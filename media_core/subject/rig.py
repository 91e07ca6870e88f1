"""Photo-textured 3-D talking head: rig (viseme/AU parameters -> mesh) and software renderer."""
from __future__ import annotations
import numpy as np, cv2
from scipy.spatial import Delaunay
from . import assets as A_

# iBUG-68 from the 478 mesh.  Jaw is re-sampled by arc length along the face-oval polyline (a fixed
# vertex pick is uneven); the other 51 points are one vertex each.
JAW_LINE = [127,234,93,132,58,172,136,150,149,176,148,152,377,400,378,379,365,397,288,361,323,454,356]
IDX51 = [70,63,105,66,107, 336,296,334,293,300, 168,197,5,4, 98,97,2,326,327, 33,160,158,133,153,144, 362,385,387,263,373,380,
         61,39,37,0,267,269,291,405,314,17,84,181, 78,82,13,312,308,317,14,87]
PARAMS = ["jaw","la","prot","stretch","smile","frown","dimple","press","chin","upraise","nose","fv","tongue",
          "browin","browout","browlow","lidraise","cheek","lidtight","blink","gazex","gazey"]
PI = {n: i for i, n in enumerate(PARAMS)}
AU_NAMES = ["AU01","AU02","AU04","AU05","AU06","AU07","AU09","AU10","AU12","AU14","AU15","AU17","AU20","AU23","AU25","AU26","AU45"]

def to68(V):
    """(..., 468+, C) mesh -> (..., 68, C)"""
    V = np.asarray(V); J = V[..., JAW_LINE, :]
    mid = JAW_LINE.index(152)
    def half(Q, n):                                     # n points from first to last, arc-length uniform
        d = np.linalg.norm(np.diff(Q, axis=-2), axis=-1); s = np.concatenate([np.zeros_like(d[..., :1]), np.cumsum(d, -1)], -1)
        out = []
        for k in range(n):
            t = s[..., -1:] * k / (n - 1)
            i = np.clip((s <= t).sum(-1) - 1, 0, Q.shape[-2] - 2)
            g = lambda X: np.take_along_axis(X, i[..., None], -1)[..., 0]
            w = (t[..., 0] - g(s[..., :-1])) / np.maximum(g(d), 1e-9)
            a = np.take_along_axis(Q, i[..., None, None].repeat(Q.shape[-1], -1), -2)[..., 0, :]
            b = np.take_along_axis(Q, i[..., None, None].repeat(Q.shape[-1], -1) + 1, -2)[..., 0, :]
            out.append(a + (b - a) * w[..., None])
        return np.stack(out, -2)
    L = half(J[..., :mid + 1, :], 9); R = half(J[..., mid:, :], 9)
    return np.concatenate([L, R[..., 1:, :], V[..., IDX51, :]], -2)

def params_to_au(p):
    """ground-truth OpenFace-like intensities 0..5 (17) from the driving parameters (T,22)"""
    g = lambda n: p[..., PI[n]]
    au = np.stack([5*g("browin"), 5*g("browout"), 5*g("browlow"), 5*g("lidraise"), 5*g("cheek"), 5*g("lidtight"), 5*g("nose"),
        5*g("upraise"), 5*g("smile"), 5*g("dimple"), 5*g("frown"), 5*g("chin"), 5*g("stretch"),
        5*np.maximum(g("press"), .55*g("prot")), 5*np.clip(g("la")/14, 0, 1), 5*np.clip(g("jaw")/13, 0, 1), 5*g("blink")], -1)
    return np.clip(au, 0, 5)

def euler(y, p, r):
    cy, sy, cp, sp, cr, sr = np.cos(y), np.sin(y), np.cos(p), np.sin(p), np.cos(r), np.sin(r)
    Ry = np.array([[cy,0,sy],[0,1,0],[-sy,0,cy]]); Rx = np.array([[1,0,0],[0,cp,-sp],[0,sp,cp]]); Rz = np.array([[cr,-sr,0],[sr,cr,0],[0,0,1]])
    return Rz @ Ry @ Rx

class Rig:
    WIN = (111.0, 2.0, 232.0)            # x, y, size of the rendered window in photo px
    D = 520.0                            # camera distance = focal length (photo px)
    def __init__(self, size=512, identity=None):
        self.size = size; self.A = A_.build(identity)
        P = self.A["pts"]; self.P = P
        self.cx, self.cy = self.WIN[0] + self.WIN[2] / 2, self.WIN[1] + self.WIN[2] / 2
        self.s = size / self.WIN[2]
        self.K = np.array([[self.D * self.s, 0, size / 2], [0, self.D * self.s, size / 2], [0, 0, 1.0]])
        X = self.unproj(P)
        pairs = np.array([[33,263],[133,362],[61,291],[234,454],[58,288],[172,397],[127,356],[93,323]])
        ex = (X[pairs[:,1]] - X[pairs[:,0]]).sum(0); ex /= np.linalg.norm(ex)
        ey = X[152] - X[10]; ey -= ex * (ex @ ey); ey /= np.linalg.norm(ey)
        self.R0 = np.stack([ex, ey, np.cross(ex, ey)], 1)                # canonical -> photo camera
        self.O = (X[234] + X[454]) / 2                                   # canonical origin: between the ears
        self.C = (X - self.O) @ self.R0                                  # canonical neutral-photo mesh (478,3)
        self.pivot = self.O + self.R0 @ np.array([0, 34.0, 6.0])         # neck joint
        self._hair(); self._handles(); self._neck()

    def unproj(self, P):
        z = self.D + P[:, 2]
        return np.stack([(P[:,0]-self.cx)*z/self.D, (P[:,1]-self.cy)*z/self.D, z], 1)
    def project(self, X):
        f = self.D * self.s
        return np.stack([X[:,0]*f/X[:,2] + self.size/2, X[:,1]*f/X[:,2] + self.size/2], 1)

    # ---------------------------------------------------------------- geometry
    def _hair(self):
        P, ov = self.P, A_.OVAL
        HP = self.A["hairpoly"]; H = np.vstack([HP, HP[:1]]); d = np.r_[0, np.cumsum(np.linalg.norm(np.diff(H, axis=0), axis=1))]
        t = np.linspace(0, d[-2], 72); H = np.stack([np.interp(t, d, H[:,0]), np.interp(t, d, H[:,1])], 1)
        ctr = np.array([225.0, 95.0]); out = H + (H - ctr) / np.linalg.norm(H - ctr, axis=1, keepdims=True) * 5.0
        O2 = P[ov]
        verts, z = [], []
        for q in out:                                          # radial subdivision towards the oval
            k = np.argmin(np.linalg.norm(O2[:, :2] - q, axis=1)); a = O2[k]
            for s in (0.25, 0.5, 0.75, 1.0):
                verts.append(a[:2] * (1 - s) + q * s); z.append(a[2] * (1 - s) + 46.0 * s - 10.0 * np.sin(np.pi * s) * np.clip((150 - q[1]) / 100, 0, 1))
        jaw = [132,58,172,136,150,149,176,148,152,377,400,378,379,365,397,288,361]
        cm = P[jaw, :2].mean(0) - [0, 30]; sk = P[jaw, :2] + (P[jaw, :2] - cm) / np.linalg.norm(P[jaw, :2] - cm, axis=1, keepdims=True) * 4.0
        verts = np.array(verts); z = np.array(z)
        keep = [0]                                             # thin out near-duplicates
        for i in range(1, len(verts)):
            if np.min(np.linalg.norm(verts[keep] - verts[i], axis=1)) > 2.2: keep.append(i)
        verts, z = verts[keep], z[keep]
        inside = np.array([cv2.pointPolygonTest(np.float32(P[ov, :2]), (float(x), float(y)), True) for x, y in verts])
        verts, z = verts[inside < -1.2], z[inside < -1.2]
        n0 = 468; self.nh = len(verts); self.nsk = len(sk); self.sk_parent = np.array(jaw)
        allp = np.vstack([P[ov, :2], verts, sk]); glob = np.r_[ov, n0 + np.arange(len(verts)), n0 + len(verts) + np.arange(len(sk))]
        T = Delaunay(allp).simplices
        cen = allp[T].mean(1); ovp = np.float32(P[ov, :2])
        outp = np.float32(out)
        hull = np.vstack([out, sk[::-1]]).astype(np.float32)
        ok = [cv2.pointPolygonTest(ovp, (float(c[0]), float(c[1])), False) < 0 and cv2.pointPolygonTest(hull, (float(c[0]), float(c[1])), True) > -0.5 for c in cen]
        T = T[np.array(ok)]
        ext = np.vstack([np.c_[verts, z], np.c_[sk, P[jaw, 2] + 2.0]])
        self.uv_photo = np.vstack([P[:468, :2], ext[:, :2]])
        # pull the inner-lip texture coordinate off the teeth, towards the lip
        r2, r3 = np.array(A_.RING[2]), np.array(A_.RING[3])
        x3 = P[r3, 0]; xr = np.abs((x3 - x3.mean()) / (np.ptp(x3) / 2)); w3 = (.45 + .45 * np.clip((xr - .55) / .35, 0, 1))[:, None]
        self.uv_photo[r3] = P[r3, :2] * (1 - w3) + P[r2, :2] * w3
        self.uv_photo[r2] += (P[np.array(A_.RING[1]), :2] - P[r2, :2]) * (w3 - .45)
        self.Cext = (self.unproj(ext) - self.O) @ self.R0
        Tg = glob[T]; p2 = np.vstack([P[:468, :2], ext[:, :2]])
        def orient(t):
            a = p2[t]; s = (a[:,1,0]-a[:,0,0])*(a[:,2,1]-a[:,0,1]) - (a[:,2,0]-a[:,0,0])*(a[:,1,1]-a[:,0,1])
            t = t.copy(); t[s < 0] = t[s < 0][:, [0,2,1]]; return t
        ft = self.A["tri"]
        # drop the tesselation's degenerate bridges across holes, keep the rest
        hole = [np.float32(P[r, :2]) for r in (A_.RING[3],)] ; c = P[ft][:, :, :2].mean(1)
        eyes = [A_.EYE_R, A_.EYE_L]
        bad = np.zeros(len(ft), bool)
        for ring in [A_.RING[3]] + eyes:
            rs = set(ring); bad |= np.array([all(int(v) in rs for v in t) for t in ft])
        self.tri = orient(np.vstack([ft[~bad], Tg])).astype(np.int32)
        self.is_hair_tri = np.r_[np.zeros((~bad).sum(), bool), np.ones(len(Tg), bool)]
        self.nv = 468 + len(ext)
        self.zbias = np.zeros(self.nv)

    def _handles(self):
        C = self.C[:468]
        ft = self.A["tri"]
        n = 468; L = np.zeros((n, n))
        for t in ft:
            for i in range(3):
                a, b, c = t[i], t[(i+1) % 3], t[(i+2) % 3]
                u, v = C[a]-C[c], C[b]-C[c]; w = max(1e-3, (u @ v) / (np.linalg.norm(np.cross(u, v)) + 1e-9)) * .5
                L[a,b] -= w; L[b,a] -= w; L[a,a] += w; L[b,b] += w
        self.lips = np.array(A_.RING)                                         # (4,20)
        jaw = {152:1,148:1,377:1,176:1,400:1,149:1,378:1,150:.96,379:.96,136:.85,365:.85,172:.68,397:.68,58:.42,288:.42,132:.2,361:.2,93:.05,323:.05,
               199:1,175:1,171:1,396:1,208:1,428:1,200:.98,32:.98,262:.98,140:1,369:1,170:.95,395:.95,194:.8,418:.8,204:.75,424:.75}
        self.jawv = np.array(list(jaw)); self.jaww = np.array(list(jaw.values()), float)
        fixed = [10,338,297,332,284,251,389,356,454,109,67,103,54,21,162,127,234,151,337,299,333,298,301,108,69,104,68,71,9,8,168,6,197,195,5,4,1,45,275,51,281,
                 143,372,34,264,227,447,116,345,123,352,137,366,111,340,35,265,226,446,31,261,228,448,113,342,244,464,189,413,193,417,122,351,188,412]
        self.fix = np.array([f for f in fixed])
        self.browR_u, self.browR_l = [70,63,105,66,107],[46,53,52,65,55]; self.browL_u, self.browL_l = [300,293,334,296,336],[276,283,282,295,285]
        self.eyes = {}
        for nm, up, lo, cr in (("R",[246,161,160,159,158,157,173],[7,163,144,145,153,154,155],[247,30,29,27,28,56,190]),
                               ("L",[466,388,387,386,385,384,398],[249,390,373,374,380,381,382],[467,260,259,257,258,286,414])):
            self.eyes[nm] = (np.array(up), np.array(lo), np.array(cr))
        corners = [33,133,263,362]
        misc = {"cheekR":[50,117,118,101],"cheekL":[280,346,347,330],"nlR":[205,36],"nlL":[425,266],"wingR":[98,64,48,115],"wingL":[327,294,278,344],"nbase":[2,97,326,94]}
        self.misc = {k: np.array(v) for k, v in misc.items()}
        h = list(self.lips.ravel()) + list(self.jawv) + list(self.fix) + self.browR_u+self.browR_l+self.browL_u+self.browL_l + corners
        for u, l, c in self.eyes.values(): h += list(u)+list(l)+list(c)
        for v in self.misc.values(): h += list(v)
        h = np.array(sorted(set(h))); f = np.setdiff1d(np.arange(n), h)
        deg = np.maximum(np.diag(L), 1e-6); B = L @ (L / deg[:, None])          # bi-Laplacian
        B = B + 1e-3 * L
        self.h, self.f = h, f
        self.W = -np.linalg.solve(B[np.ix_(f, f)] + 1e-9*np.eye(len(f)), B[np.ix_(f, h)])
        # mouth frame, neutral construction
        Rg = C[self.lips]; self.Rg = Rg
        self.M0 = (Rg[3,0] + Rg[3,10]) / 2; hw = (Rg[3,10,0] - Rg[3,0,0]) / 2
        self.xi = np.clip((Rg[3,:,0] - self.M0[0]) / hw, -1, 1)
        up = np.arange(20) > 10; lo = (np.arange(20) > 0) & (np.arange(20) < 10); self.upm, self.lom = up, lo
        flat = 6.2 * self.xi**2 - 0.9                                        # undo the smile: corners down
        Y = Rg[:,:,1] + flat[None]; self.flat = flat
        o = np.argsort(self.xi[up]); yu = lambda x: np.interp(x, np.r_[-1,np.sort(self.xi[up]),1], np.r_[Y[3,0], Y[3][up][o], Y[3,10]])
        o2 = np.argsort(self.xi[lo]); yl = lambda x: np.interp(x, np.r_[-1,np.sort(self.xi[lo]),1], np.r_[Y[3,0], Y[3][lo][o2], Y[3,10]])
        gap = yl(self.xi) - yu(self.xi)
        self.ym = yu(self.xi) + 0.52 * gap
        self.th = Y - Y[3:4]                                                  # signed thickness per ring (up: <0, low: >0)
        self.gap0 = float(yl(0) - yu(0))

    def _neck(self):
        gx = np.linspace(178, 268, 16); gy = np.linspace(126, 196, 14)
        G = np.stack(np.meshgrid(gx, gy), -1).reshape(-1, 2)
        z = 34 + 10 * ((G[:,0] - 222) / 45) ** 2
        self.neck_uv = G; self.neckX = self.unproj(np.c_[G, z])
        t = np.clip((192 - G[:,1]) / (192 - 158), 0, 1); self.neck_w = t*t*(3-2*t)
        q = np.arange(14*16).reshape(14,16); self.neck_tri = np.vstack([np.stack([q[:-1,:-1],q[:-1,1:],q[1:,:-1]],-1).reshape(-1,3), np.stack([q[:-1,1:],q[1:,1:],q[1:,:-1]],-1).reshape(-1,3)])

    # ---------------------------------------------------------------- deformation (canonical frame)
    def deform(self, p):
        g = lambda n: float(p[PI[n]])
        C = self.C[:468]; Dh = {int(i): np.zeros(3) for i in self.h}
        J, LA = g("jaw"), g("la"); pr, st, sm, fr, dm, press, ch, ur, no, fv = (g(k) for k in ("prot","stretch","smile","frown","dimple","press","chin","upraise","nose","fv"))
        xi = self.xi; R = self.Rg; N = R.copy()
        sx = 0.86 * (1 + 0.13*st + 0.13*sm - 0.36*pr + 0.02*dm)
        prof_u = 1 - np.abs(xi)**2.6; prof_l = 1 - np.abs(xi)**(2.0 + 0.8*st)
        corner = xi**2 * (0.30*J - 4.6*sm + 2.6*fr - 0.6*dm)
        yU = self.ym + corner - prof_u * (0.17*LA + 2.6*ur + 1.6*fv)
        yL = self.ym + corner + prof_l * (0.83*LA*(1-fv) + 0.2*fv) - prof_l * 0.9*fv
        yL = np.maximum(yL, yU)
        thu = 1.30 * (1 - .42*press + .22*pr - .10*st - .12*sm) * (1 - .010*LA); thl = 1.22 * (1 - .42*press + .28*pr - .10*st - .12*sm - .45*fv) * (1 - .008*LA)
        up, lo = self.upm, self.lom; cor = ~(up | lo)
        inn = np.where(up, yU, np.where(lo, yL, self.ym + corner))
        base_th = np.where(up, thu, np.where(lo, thl, 1.15))
        N[:,:,1] = inn[None] + self.th * base_th[None]
        rk = np.array([0, .25, .65, 1.0])[:, None]                         # inner rings close in more when rounding
        N[:,:,0] = self.M0[0] + (R[:,:,0] - self.M0[0]) * sx * (1 - .24*pr*rk)
        N[:,:,2] += -2.0*xi[None]**2 + pr * (-5.5*(1-.55*xi[None]**2)) + 2.2*sm*xi[None]**2 + 1.2*fv*np.where(lo,1,0)[None] + .30*J*np.where(lo,1,.0)[None]*.6
        N[:,:,1] += -1.6*ch*np.where(lo, 1, .3)[None]*(1-xi[None]**2*.6)
        for k in range(4):
            for i in range(20): Dh[int(self.lips[k,i])] = N[k,i] - R[k,i]
        for v, w in zip(self.jawv, self.jaww):
            if int(v) in Dh: Dh[int(v)] = w*np.array([0, J, .32*J]) + w*np.array([0, -2.4*ch, -1.0*ch]) * (1 if v in (199,175,200,152,171,396,208,428,194,418,204,424,32,262) else .3)
        bi, bo, bl = g("browin"), g("browout"), g("browlow")
        for lst, sgn in ((self.browR_u+self.browR_l, 1), (self.browL_u+self.browL_l, -1)):
            for j, v in enumerate(lst):
                t = (j % 5) / 4.0                                                # 0 outer .. 1 inner
                Dh[v] = np.array([sgn*1.6*bl*t, -4.6*bi*t**1.3 - 4.6*bo*(1-t)**1.2*(1 if t < .8 else .2) + 3.0*bl*(.35+.65*t), 0])
        bk, lr, lt, ck = g("blink"), g("lidraise"), g("lidtight"), g("cheek")
        for nm, (u, l, c) in self.eyes.items():
            gapv = C[l] - C[u]
            close = np.clip(bk, 0, 1); dn = gapv * (close*.93 + .10*lt*(1-close)) * np.array([1, 1, .4])
            dn[:, 1] += -1.5*lr*(1-close); bulge = np.zeros_like(dn); bulge[:, 2] = -1.0*close
            for v, d in zip(u, dn + bulge): Dh[int(v)] = d
            for v, d in zip(l, -gapv*(.05*close + .22*lt*(1-close) + .14*ck*(1-close))): Dh[int(v)] = d
            for v, d in zip(c, dn*.72): Dh[int(v)] = d
        for sd, s in (("R", -1), ("L", 1)):
            for v in self.misc["cheek"+sd]: Dh[int(v)] = np.array([s*.6*sm, -2.2*ck - 1.4*sm, -.8*sm])
            for v in self.misc["nl"+sd]: Dh[int(v)] = np.array([s*1.2*(sm-.55) - s*1.2*pr, -1.6*(sm-.45) + .15*J - 1.0*no, -.6*sm])
            for v in self.misc["wing"+sd]: Dh[int(v)] = np.array([s*.5*no + s*.25*(sm-.5), -2.0*no - .7*ur, 0])
        for v in self.misc["nbase"]: Dh[int(v)] = np.array([0, -1.2*no - .35*ur + .25*pr*0, 0])
        D = np.zeros((468, 3)); hd = np.array([Dh[int(i)] for i in self.h]); D[self.h] = hd; D[self.f] = self.W @ hd
        V = C + D
        E = self.Cext.copy(); E[self.nh:] += D[self.sk_parent]
        return np.vstack([V, E]), D

    def pose(self, y, pch, r, t=(0, 0, 0)):
        """head rotation (relative to the photo's own) + translation -> (R,t): canonical -> camera"""
        Rr = euler(y, pch, r); R = Rr @ self.R0
        return R, Rr @ (self.O - self.pivot) + self.pivot + np.asarray(t, float)

    # ---------------------------------------------------------------- rendering
    @staticmethod
    def raster(p2, depth, tri, attr, H, W, cull=True):
        a, b, c = p2[tri[:,0]], p2[tri[:,1]], p2[tri[:,2]]
        ar = (b[:,0]-a[:,0])*(c[:,1]-a[:,1]) - (c[:,0]-a[:,0])*(b[:,1]-a[:,1])
        keep = ar > 1e-3 if cull else np.abs(ar) > 1e-3
        order = np.nonzero(keep)[0]; order = order[np.argsort(-depth[tri[order]].mean(1), kind="stable")]
        q = np.round(p2 * 16).astype(np.int32); idx = np.zeros((H, W), np.int32)
        for t in order: cv2.fillConvexPoly(idx, q[tri[t]], int(t) + 1, cv2.LINE_8, 4)
        M = np.stack([np.c_[a, np.ones(len(a))], np.c_[b, np.ones(len(a))], np.c_[c, np.ones(len(a))]], 1)
        M[~keep] = np.eye(3); co = np.linalg.solve(M, attr[tri]).astype(np.float32)          # (F,3,K)
        m = idx > 0; yy, xx = np.nonzero(m); cf = co[idx[m] - 1]
        val = cf[:,0]*xx[:,None].astype(np.float32) + cf[:,1]*yy[:,None].astype(np.float32) + cf[:,2]
        out = np.full((H, W, attr.shape[1]), -1e4, np.float32); out[m] = val
        return out, idx

    def _vshade(self, V, tri, R):
        n = np.cross(V[tri[:,1]]-V[tri[:,0]], V[tri[:,2]]-V[tri[:,0]]); vn = np.zeros_like(V)
        for i in range(3): np.add.at(vn, tri[:,i], n)
        vn /= np.linalg.norm(vn, axis=1, keepdims=True) + 1e-9
        return vn @ R.T

    def render(self, p, pose, sway=(0.0, 0.0), want_mask=True):
        size, s = self.size, self.s; A = self.A
        V, D = self.deform(p); R, t = pose; X = V @ R.T + t
        p2 = self.project(X)
        if not hasattr(self, "_n0"): self._n0 = self._vshade(np.vstack([self.C[:468], self.Cext]), self.tri, self.R0)
        nn = self._vshade(V, self.tri, R)
        l = np.array([-.25, -.55, -.80]); l /= np.linalg.norm(l)
        # face normals point to -z (towards the camera)
        sgn = -1.0 if (self._n0[:468, 2] > 0).mean() > .5 else 1.0
        sh = np.clip((.55 + .45*np.clip(sgn*(nn @ l), -.2, 1)) / (.55 + .45*np.clip(sgn*(self._n0 @ l), -.2, 1)), .75, 1.3)
        sh[468:] = 1 + (sh[468:] - 1) * .4
        if not hasattr(self, "_shw"):
            dm = np.linalg.norm(self.C[:468, :2] - self.M0[:2], axis=1); self._shw = np.clip((dm - 14) / 22, .22, 1)
            for e in (A_.EYE_R, A_.EYE_L):
                de = np.linalg.norm(self.C[:468, :2] - self.C[np.array(e), :2].mean(0), axis=1); self._shw = np.minimum(self._shw, np.clip((de - 8) / 14, .25, 1))
        sh[:468] = 1 + (sh[:468] - 1) * self._shw
        r3 = np.array(A_.RING[3]); la = p[PI["la"]]
        sh[r3] *= .62 + .18*np.clip(la/5, 0, 1)                                       # contact shadow between the lips
        uv = A_.T(self.uv_photo)
        attr = np.c_[uv, sh]
        hm, hidx = self.raster(p2, X[:, 2] + self.zbias, self.tri, attr, size, size, cull=False)
        u, v = hm[..., 0], hm[..., 1]; shade = cv2.GaussianBlur(np.where(hidx > 0, hm[..., 2], 1).astype(np.float32), (0, 0), .35*s)
        head = cv2.remap(A["head"], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).astype(np.float32) * shade[..., None]
        ha = cv2.remap(A["head_a"], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0).astype(np.float32) / 255
        ha[hidx == 0] = 0
        # ---- background + torso (2-D) ----
        win = self.WIN
        def warp2d(img, dx=0, dy=0, sc=1.0, flags=cv2.INTER_LINEAR):
            # output px -> texture px ; torso scales about its bottom centre
            k = A_.S / s / sc; px, py = (self.cx - A_.X0) * A_.S, (236 - A_.Y0) * A_.S
            ox, oy = (win[0]-A_.X0+.5)*A_.S-.5, (win[1]-A_.Y0+.5)*A_.S-.5
            M = np.array([[k, 0, px + (ox-px)/sc - dx*A_.S], [0, k, py + (oy-py)/sc - dy*A_.S]])
            return cv2.warpAffine(img, M, (size, size), flags=flags | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
        bg = warp2d(A["bg"]).astype(np.float32)
        dx, dy = sway; to = warp2d(A["torso"], dx, dy).astype(np.float32); ta = warp2d(A["torso_a"], dx, dy).astype(np.float32)[..., None]/255
        img = bg*(1-ta) + to*ta; cls = np.where(ta[..., 0] > .5, 3, 0).astype(np.uint8)
        # ---- neck ----
        Rr = R @ self.R0.T; nx = (self.neckX - self.pivot) @ Rr.T + self.pivot + (t - (Rr @ (self.O - self.pivot) + self.pivot))
        nb = self.neckX + np.array([dx, dy, 0]); w = self.neck_w[:, None]; NX = nb*(1-w) + nx*w
        nm, nidx = self.raster(self.project(NX), NX[:,2], self.neck_tri, A_.T(self.neck_uv), size, size, cull=False)
        nk = cv2.remap(A["neck"], nm[...,0], nm[...,1], cv2.INTER_LINEAR).astype(np.float32)
        na = cv2.remap(A["neckm"], nm[...,0], nm[...,1], cv2.INTER_LINEAR, borderValue=0).astype(np.float32)[..., None]/255*(nidx > 0)[..., None]
        # soft chin shadow on the neck
        hs = cv2.GaussianBlur(ha, (0, 0), 5*s/2.2); nk *= (1 - .28*np.roll(hs, int(5*s), 0))[..., None]
        img = img*(1-na) + nk*na; cls[na[...,0] > .5] = 2
        # ---- eyes ----
        for ring, gx in ((A_.EYE_R, 1), (A_.EYE_L, 1)):
            ring = np.array(ring); cE = self.C[ring].mean(0); Q = (self.C[ring] - cE) * np.array([1.15, 1.9, 1]) + cE + np.array([0, 0, 1.0])
            pq = self.project(Q @ R.T + t); src = A_.T((self.P[ring, :2] - self.P[ring, :2].mean(0)) * [1.15, 1.9] + self.P[ring, :2].mean(0) - [p[PI["gazex"]]*2.2, p[PI["gazey"]]*1.2])
            M, _ = cv2.estimateAffine2D(pq.astype(np.float32), src.astype(np.float32), method=cv2.LMEDS)
            x0, y0 = np.floor(pq.min(0)-3).astype(int); x1, y1 = np.ceil(pq.max(0)+3).astype(int)
            x0, y0 = max(x0, 0), max(y0, 0); x1, y1 = min(x1, size), min(y1, size)
            if x1 <= x0 or y1 <= y0: continue
            Mo = M.copy(); Mo[:, 2] += M[:, :2] @ [x0, y0]
            patch = cv2.warpAffine(A["eye"], Mo, (x1-x0, y1-y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
            img[y0:y1, x0:x1] = patch
        # ---- mouth interior ----
        inner = p2[r3]; teeth = self._mouth(img, inner, p, R, t)
        mm = np.zeros((size, size), np.uint8); cv2.fillPoly(mm, [np.round(inner*16).astype(np.int32)], 255, cv2.LINE_8, 4)
        hole = (hidx == 0)
        em = np.zeros((size, size), np.uint8)
        for ring in (A_.EYE_R, A_.EYE_L): cv2.fillPoly(em, [np.round(p2[np.array(ring)]*16).astype(np.int32)], 255, cv2.LINE_8, 4)
        ha = cv2.GaussianBlur(ha, (0, 0), .6) * (ha > 0); a = ha[..., None]; img = img*(1-a) + head*a
        cls[ha > .5] = 1; cls[(em > 0) & hole] = 1; cls[(mm > 0) & hole] = 4
        hairp = cv2.remap(A["hairmask"], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        cls[(ha > .5) & (hairp > 127)] = 5; teeth &= cls == 4
        out = np.clip(img + .5, 0, 255).astype(np.uint8)
        lm3 = to68(V[:468]); lm2 = self.project(lm3 @ R.T + t)          # 2-D is the projection of 3-D, exactly
        return dict(rgb=out, cls=cls, teeth=teeth, torso=(to, ta), neck=(nk, na), bg=bg, lm68=lm2, lm68_c=lm3, mesh=V[:468], mesh2d=p2[:468], disp=D)

    def _mouth(self, img, inner, p, R, t):
        size, s = self.size, self.s
        x0, y0 = np.floor(inner.min(0)-4).astype(int); x1, y1 = np.ceil(inner.max(0)+5).astype(int)
        x0, y0 = max(x0,0), max(y0,0); x1, y1 = min(x1,size), min(y1,size)
        tmask = np.zeros((size, size), bool)
        if x1-x0 < 2 or y1-y0 < 2: return tmask
        h, w = y1-y0, x1-x0; J, LA, tg = p[PI["jaw"]], p[PI["la"]], p[PI["tongue"]]
        M0 = self.M0; ymid = float(np.interp(0, [-1,0,1], [self.ym[0], self.ym[np.argmin(np.abs(self.xi)+10*~self.upm)], self.ym[10]]))
        def proj(x, y, z): return self.project((np.array([[M0[0]+x, ymid+y, self.C[13,2]+z]])) @ R.T + t)[0] - [x0, y0]
        yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
        cav = np.zeros((h, w, 3), np.float32); cav[:] = (52, 18, 18)
        cen = (inner.mean(0) - [x0, y0]); rad = np.hypot((xx-cen[0])/max(w*.5,1), (yy-cen[1])/max(h*.55,1)); cav *= np.clip(1.15 - .55*rad, .25, 1)[..., None]
        L = cav
        def blend(dst, col, a): dst[:] = dst*(1-a[...,None]) + col*a[...,None]
        # tongue (under the lower teeth, rises with the tongue parameter)
        c = proj(0, .66*J + 5.5 - 5.5*tg, 9 - 5*tg); rx, ry = (12.5)*s, (5.0 + 1.8*tg)*s
        dd = ((xx-c[0])/rx)**2 + ((yy-c[1])/ry)**2; a = np.clip((1.0-dd)*3, 0, 1)
        col = np.stack([np.full_like(dd, 176), 86-10*dd, 88-10*dd], -1) * np.clip(1.05-.38*dd, .3, 1)[...,None]; blend(L, col, a*.95)
        # lower teeth, on the jaw
        def arc(y_edge, half, depth, curve, upper, bright):
            tl = proj(-half, y_edge+curve, depth+9); tr = proj(half, y_edge+curve, depth+9); tc = proj(0, y_edge, depth)
            ux = np.clip((xx - (tl[0]+tr[0])/2) / max((tr[0]-tl[0])/2, 1), -1.4, 1.4)
            lin = tl[1]*(1-ux)/2 + tr[1]*(1+ux)/2; edge = lin + (tc[1] - (tl[1]+tr[1])/2)*(1-ux**2)
            d = (edge - yy) if upper else (yy - edge)                               # >0 inside the tooth
            return ux, d / s
        ux, d = arc(.92*J + 2.6, 15.0, 5.0, .4, False, .9)
        ph = ux*5.6; gapm = np.abs(ph - np.round(ph)); tooth = np.clip(d*1.6, 0, 1)*np.clip((1.02-np.abs(ux))*8, 0, 1)
        g = np.clip(gapm*2.0+.60, .72, 1); fall = np.clip(1.0-.10*d, .45, 1)*np.clip(1.05-.55*ux**2, .2, 1)
        tlow = tooth*np.clip(1-(d-6)/2, 0, 1)
        blend(L, np.stack([214*g*fall, 203*g*fall, 188*g*fall], -1)*.80, tooth*np.clip(1-(d-6)/2, 0, 1))
        # upper teeth, on the skull: the portrait's own
        ux, d = arc(2.9, 18.5, 3.5, -1.2, True, 1)
        b = self.A["teeth_box"]; tex = self.A["teeth"]
        u = (ux*.5/1.08+.5)*(tex.shape[1]-1); vv = (14.6 - np.clip(d, -1, 13)*.98)*A_.S      # edge row ~14.6 px below the patch top
        tt = cv2.remap(tex, u.astype(np.float32), vv.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        lum = tt.mean(-1, keepdims=True); tt = (tt*.55 + lum*np.array([1.03,1.0,.94])*.45)*1.10
        ph = ux*5.0+.5; gp = np.abs(ph-np.round(ph)); scal = 1-.10*np.clip(1-gp*7, 0, 1)
        scl = np.clip(1.03-.42*ux**2, .2, 1)*scal*np.clip(.74+.07*(8-d), .6, 1.0)
        tooth = np.clip((d - .35*(1-np.clip(gp*5,0,1)))*1.8, 0, 1)*np.clip((1.0-np.abs(ux))*7, 0, 1)
        blend(L, tt*scl[...,None], tooth)
        # occlusion: darker right under the upper lip and towards the corners
        topl = np.interp(np.arange(w)+x0, *map(np.array, zip(*sorted([(q[0], q[1]) for q in inner[10:]] + [(inner[0,0], inner[0,1])])))) - y0
        ao = np.clip(.68 + (yy - topl[None])/(5.0*s), .68, 1); L *= ao[...,None]
        img[y0:y1, x0:x1] = L; tmask[y0:y1, x0:x1] = (tooth > .5) | (tlow > .5)
        return tmask
